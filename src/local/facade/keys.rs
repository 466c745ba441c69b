//! Key pairs by which tenants read their results from the S3 listener: one each, which reads nothing of another's
//! (invariant I9). They stand in one file, which the owner of the directory may change as well: pairs that he adds stay.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value as Json, json};
use weir_http::backend::Tenant;
use weir_store::server::{Credentials, CredentialsError};

use super::results::BUCKET;

/// Name of the file in the directory.
const FILE: &str = "keys.json";

/// The key pairs of a directory's tenants.
#[derive(Debug)]
pub struct Keys {
    path: PathBuf,
    credentials: Credentials,
    /// Held while the file is changed.
    changing: Mutex<()>,
}

/// A key pair that was just made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// Whose results it reads.
    pub tenant: Tenant,
    /// The public half.
    pub access_key: String,
    /// The secret half.
    pub secret_key: String,
}

/// Key pairs that cannot be had or made.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file says something else.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The file cannot be written.
    #[error("cannot write the key pairs to `{path}`: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Keys {
    /// Reads the file of a directory, and adds pairs for those of these tenants that have none. Makes the file if there is
    /// none; its owner alone can read it. Blocks.
    pub fn open(dir: &Path, tenants: &[Tenant]) -> Result<(Self, Vec<NewKey>), KeysError> {
        let path = dir.join(FILE);
        let new = extend(&path, tenants)?;
        let credentials = Credentials::file(&path)?;
        Ok((Self { path, credentials, changing: Mutex::default() }, new))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the S3 listener asks.
    pub fn credentials(&self) -> Credentials {
        self.credentials.clone()
    }

    /// Whether the file has a pair that reads the results of every tenant.
    pub fn opens_all(&self) -> bool {
        read(&self.path).is_ok_and(|document| pairs(&document).iter().any(|pair| owner(pair).is_none()))
    }

    /// Makes pairs for those of these tenants that have none; they are valid when this returns. Blocks.
    pub fn add(&self, tenants: &[Tenant]) -> Result<Vec<NewKey>, KeysError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let new = extend(&self.path, tenants)?;
        self.credentials.reload()?;
        Ok(new)
    }
}

/// The pairs that were missing, once they are in the file.
fn extend(path: &Path, tenants: &[Tenant]) -> Result<Vec<NewKey>, KeysError> {
    let write = |source| KeysError::Write { path: path.to_owned(), source };
    let mut document = if path.exists() { read(path).map_err(write)? } else { json!({"keys": []}) };
    let known: BTreeSet<String> = pairs(&document).iter().filter_map(owner).map(str::to_owned).collect();
    let missing = tenants.iter().filter(|tenant| !known.contains(tenant.as_str())).collect::<BTreeSet<_>>();
    let new: Vec<NewKey> = missing.into_iter().map(made_for).collect();
    if let (false, Some(pairs)) = (new.is_empty(), document.get_mut("keys").and_then(Json::as_array_mut)) {
        pairs.extend(new.iter().map(|NewKey { tenant, access_key, secret_key }| {
            json!({"accessKey": access_key, "secretKey": secret_key, "access": "readOnly", "bucket": BUCKET,
                "owner": tenant.as_str()})
        }));
        write_secret(path, &format!("{document:#}\n")).map_err(write)?;
    }
    Ok(new)
}

fn read(path: &Path) -> io::Result<Json> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

fn pairs(document: &Json) -> &[Json] {
    document.get("keys").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn owner(pair: &Json) -> Option<&str> {
    pair.get("owner").and_then(Json::as_str)
}

fn made_for(tenant: &Tenant) -> NewKey {
    let random = || uuid::Uuid::new_v4().simple().to_string();
    NewKey {
        tenant: tenant.clone(),
        access_key: random()[..20].to_uppercase(),
        secret_key: format!("{}{}", random(), &random()[..8]),
    }
}

/// Writes a file that only its owner can read so that it is there whole or not at all, also after a power failure.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let part = path.with_extension("part");
    // A crash may have left one; its mode would stay.
    let _ = fs::remove_file(&part);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&part)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    super::layout::sync_parent(path, true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn tenants(names: &[&str]) -> Vec<Tenant> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn each_tenant_gets_a_pair_once_and_the_file_is_its_owners_alone_i9() {
        let folder = tempfile::tempdir().unwrap();
        let (keys, new) = Keys::open(folder.path(), &tenants(&["acme"])).unwrap();
        assert_eq!((new[0].access_key.len(), new[0].secret_key.len()), (20, 40));
        assert_eq!(fs::metadata(keys.path()).unwrap().permissions().mode() & 0o777, 0o600);
        let added = keys.add(&tenants(&["globex", "acme", "globex"])).unwrap();
        assert_eq!(added.len(), 1);
        let pair = keys.credentials().find(&added[0].access_key).unwrap();
        assert_eq!((pair.owner.as_deref(), pair.bucket.as_deref()), (Some("globex"), Some(BUCKET)));
        assert!(!keys.opens_all());
        let text = fs::read(keys.path()).unwrap();
        assert!(keys.add(&tenants(&["acme"])).unwrap().is_empty());
        let (again, new) = Keys::open(folder.path(), &tenants(&["globex"])).unwrap();
        assert!(new.is_empty() && again.credentials().find(&added[0].access_key).is_some());
        assert_eq!(fs::read(again.path()).unwrap(), text);
    }

    #[test]
    fn pairs_of_the_directorys_owner_stay_and_one_without_a_tenant_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let own = json!({"keys": [{"accessKey": "backup", "secretKey": "12345678", "access": "readOnly"}]});
        fs::write(folder.path().join(FILE), own.to_string()).unwrap();
        let (keys, new) = Keys::open(folder.path(), &tenants(&["acme"])).unwrap();
        assert_eq!(new.len(), 1);
        assert!(keys.credentials().find("backup").is_some() && keys.opens_all());
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(keys.add(&tenants(&["globex"])).is_err(), "what cannot be read is not written over");
    }
}

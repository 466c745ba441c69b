//! Which addresses may be reached: public ones, and what the operator's settings allow besides. Pure.
//!
//! A package or an input names URLs that its author chose; the operator stands inside the cluster. Without rules it would
//! fetch for them what only it can reach.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A setting that is neither a network nor a host name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a network (`10.0.0.0/8`, `fd00::/8`), nor an address, nor a host name")]
pub struct RuleError(pub String);

/// What may be fetched from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    networks: Vec<Network>,
    hosts: BTreeSet<String>,
}

/// What is allowed besides public addresses, separated by commas.
impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let networks = self.networks.iter().map(|Network { base, bits }| format!("{base}/{bits}"));
        f.write_str(&networks.chain(self.hosts.iter().cloned()).collect::<Vec<_>>().join(","))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    base: IpAddr,
    bits: u8,
}

impl Rules {
    /// Public addresses, and the given networks, addresses and host names.
    pub fn new<'a>(allowed: impl IntoIterator<Item = &'a str>) -> Result<Self, RuleError> {
        let mut rules = Self::default();
        for text in allowed {
            match Network::parse(text) {
                Some(network) => rules.networks.push(network),
                None if is_host_name(text) => drop(rules.hosts.insert(text.to_ascii_lowercase())),
                None => return Err(RuleError(text.to_owned())),
            }
        }
        Ok(rules)
    }

    /// Reads what [`Self`]'s `Display` writes: networks, addresses and host names, separated by commas.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        Self::new(text.split(',').map(str::trim).filter(|item| !item.is_empty()))
    }

    /// Whether a host may be reached wherever its name leads.
    pub fn allow_host(&self, host: &str) -> bool {
        self.hosts.contains(&host.trim_end_matches('.').to_ascii_lowercase())
    }

    /// Whether an address may be reached.
    pub fn allow_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address) || self.networks.iter().any(|network| network.contains(address))
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (base, bits) = match text.split_once('/') {
            Some((base, bits)) => (base.parse().ok()?, Some(bits.parse().ok()?)),
            None => (text.parse().ok()?, None),
        };
        let widest = match base {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        let bits = bits.unwrap_or(widest);
        (bits <= widest).then_some(Self { base, bits })
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let ignored = 32 - u32::from(self.bits);
                (base.to_bits() ^ address.to_bits()).checked_shr(ignored).unwrap_or(0) == 0
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let ignored = 128 - u32::from(self.bits);
                (base.to_bits() ^ address.to_bits()).checked_shr(ignored).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let looks_like_an_address = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.len() <= 253 && !looks_like_an_address && text.split('.').all(label)
}

/// Whether the address is one of the public internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// IANA IPv4 Special-Purpose Address Registry: everything there that is not globally reachable.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b)))
}

/// Global unicast (2000::/3) without documentation, and what carries an IPv4 address only if that one is public.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match segments {
        // NAT64 (RFC 6052), 6to4 (RFC 3056)
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => is_public_v4(embedded(high, low)),
        // Protocol assignments, Teredo among them; documentation
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(rules: &Rules, address: &str) -> bool {
        rules.allow_address(address.parse().unwrap())
    }

    #[test]
    fn only_public_addresses_are_allowed_by_default() {
        let rules = Rules::default();
        for public in ["1.1.1.1", "193.99.144.80", "2a02:2e0:3fe:1001::1", "::ffff:8.8.8.8", "64:ff9b::808:808"] {
            assert!(allow(&rules, public), "{public}");
        }
        for refused in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "::127.0.0.1",
        ] {
            assert!(!allow(&rules, refused), "{refused}");
        }
    }

    #[test]
    fn settings_allow_networks_addresses_and_hosts() {
        let rules = Rules::new(["10.0.0.0/8", "127.0.0.1", "fd00::/8", "Data.Example", "0.0.0.0/32"]).unwrap();
        for allowed in ["10.255.0.1", "127.0.0.1", "fd00::5", "::ffff:10.0.0.1", "0.0.0.0"] {
            assert!(allow(&rules, allowed), "{allowed}");
        }
        for refused in ["127.0.0.2", "fe80::1", "192.168.0.1"] {
            assert!(!allow(&rules, refused), "{refused}");
        }
        assert!(rules.allow_host("data.example.") && rules.allow_host("DATA.example"));
        assert!(!rules.allow_host("other.data.example"));
        assert_eq!(rules.to_string(), "10.0.0.0/8,127.0.0.1/32,fd00::/8,0.0.0.0/32,data.example");
        assert_eq!(Rules::parse(&rules.to_string()).unwrap(), rules);
        assert_eq!(Rules::parse("").unwrap(), Rules::default());
        let all = Rules::new(["0.0.0.0/0"]).unwrap();
        assert!(allow(&all, "127.0.0.1") && !allow(&all, "::1"));
    }

    #[test]
    fn a_setting_that_means_nothing_is_told() {
        for bad in ["10.0.0.0/33", "10.0.0", "", "a b", "https://example.org", "fd00::/129", "-a.example"] {
            let message = Rules::new([bad]).unwrap_err().to_string();
            assert!(message.starts_with(&format!("`{bad}` is neither a network")), "{message}");
        }
    }
}

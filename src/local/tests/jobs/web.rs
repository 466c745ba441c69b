//! A loopback web server of a folder's files that knows ranges.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

pub struct Web {
    address: SocketAddr,
}

impl Web {
    /// Serves until the program ends.
    pub fn serve(root: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let root = root.clone();
                // A client that hangs up is no failure of the server.
                std::thread::spawn(move || drop(answer_all(&stream, &root)));
            }
        });
        Self { address }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }
}

/// Answers the requests of one connection.
fn answer_all(stream: &TcpStream, root: &Path) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or("/");
        let path = path.split('?').next().unwrap_or(path).trim_start_matches('/');
        let range = head.iter().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let (first, last) =
                value.strip_prefix("bytes=").filter(|_| name.eq_ignore_ascii_case("range"))?.split_once('-')?;
            Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?))
        });
        let (status, headers, body) = match (std::fs::read(root.join(path)), range) {
            (Err(_), _) => ("404 Not Found", String::new(), Vec::new()),
            (Ok(whole), None) => ("200 OK", String::new(), whole),
            (Ok(whole), Some((first, _))) if first >= whole.len() => {
                ("416 Range Not Satisfiable", format!("Content-Range: bytes */{}\r\n", whole.len()), Vec::new())
            }
            (Ok(whole), Some((first, last))) => {
                let last = last.min(whole.len() - 1);
                let headers = format!("Content-Range: bytes {first}-{last}/{}\r\n", whole.len());
                ("206 Partial Content", headers, whole[first..=last].to_vec())
            }
        };
        let mut writer = stream;
        write!(writer, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len())?;
        writer.write_all(&body)?;
    }
}

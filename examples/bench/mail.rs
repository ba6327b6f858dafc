//! A mail server that takes everything and keeps nothing.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

pub(crate) fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{}", listener.local_addr()?.port());
    for stream in listener.incoming().flatten() {
        thread::spawn(move || talk(&stream));
    }
    Ok(())
}

fn talk(mut stream: &TcpStream) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::with_capacity(1 << 20, stream);
    stream.write_all(b"220 sink\r\n").ok()?;
    let mut line = Vec::new();
    loop {
        line.clear();
        reader.read_until(b'\n', &mut line).ok().filter(|read| *read > 0)?;
        let reply: &[u8] = match line.get(..4)?.to_ascii_uppercase().as_slice() {
            b"EHLO" => b"250-sink\r\n250 8BITMIME\r\n",
            b"DATA" => {
                stream.write_all(b"354 go on\r\n").ok()?;
                skip_message(&mut reader)?;
                b"250 taken\r\n"
            }
            b"QUIT" => {
                let _ = stream.write_all(b"221 bye\r\n");
                return None;
            }
            _ => b"250 fine\r\n",
        };
        stream.write_all(reply).ok()?;
    }
}

/// Reads to the line that is a dot alone.
fn skip_message(reader: &mut BufReader<&TcpStream>) -> Option<()> {
    let mut line = Vec::new();
    while line != b".\r\n" {
        line.clear();
        reader.read_until(b'\n', &mut line).ok().filter(|read| *read > 0)?;
    }
    Some(())
}

//! Secrets for servers that live on this machine only.

use std::{fmt::Write, fs::File, io::Read};

use crate::Error;

/// 128 random bits from the kernel, as 32 hexadecimal digits.
pub fn secret() -> Result<String, Error> {
    let source = "/dev/urandom";
    let mut bytes = [0_u8; 16];
    File::open(source).and_then(|mut file| file.read_exact(&mut bytes)).map_err(Error::file("read", source))?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    }))
}

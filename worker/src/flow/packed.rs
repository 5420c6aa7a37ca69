//! How data goes to and from a process that renders: one value, then members in an order that the value explains.
//! An archive, because it says where each member ends; its members' names say nothing, because it would refuse some
//! paths as names.

use std::io::{Error, ErrorKind, Read, Result, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) fn write<'a>(
    pipe: impl Write,
    value: &impl Serialize,
    members: impl IntoIterator<Item = &'a [u8]>,
) -> Result<()> {
    let mut archive = tar::Builder::new(pipe);
    let mut append = |bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, "member", bytes)
    };
    append(&serde_json::to_vec(value)?)?;
    members.into_iter().try_for_each(append)?;
    archive.into_inner()?.flush()
}

/// The caller limits how much is read.
pub(super) fn read<T: DeserializeOwned>(input: impl Read) -> Result<(T, Vec<Vec<u8>>)> {
    let mut value = None;
    let mut members = Vec::new();
    for entry in tar::Archive::new(input).entries()? {
        let mut bytes = Vec::new();
        entry?.read_to_end(&mut bytes)?;
        if value.is_none() {
            value = Some(serde_json::from_slice(&bytes)?);
        } else {
            members.push(bytes);
        }
    }
    let value = value.ok_or_else(|| Error::from(ErrorKind::UnexpectedEof))?;
    Ok((value, members))
}

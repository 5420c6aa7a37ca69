//! Takes a program's output without being flooded by it: the beginning and the end are kept, the middle is
//! dropped, and a program that goes on for ever is given up.

use std::collections::VecDeque;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes kept of the beginning, and as many of the end.
const KEPT_AT_EACH_END: usize = 32 * 1024;

#[derive(Debug, Default)]
pub(super) struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

impl Capture {
    /// Reads to the end; false when more than `limit` bytes came.
    pub(super) async fn read(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        limit: u64,
    ) -> std::io::Result<bool> {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let count = reader.read(&mut buffer).await?;
            if count == 0 {
                return Ok(true);
            }
            self.take(&buffer[..count]);
            if self.total > limit {
                return Ok(false);
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = KEPT_AT_EACH_END - self.head.len();
        let (first, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(first);
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(KEPT_AT_EACH_END);
        self.tail.drain(..excess);
    }

    pub(super) fn text(mut self) -> String {
        let kept = (self.head.len() + self.tail.len()) as u64;
        if self.total > kept {
            let cut = format!("\n… {} bytes left out …\n", self.total - kept);
            self.head.extend_from_slice(cut.as_bytes());
        }
        self.head.extend(self.tail);
        String::from_utf8_lossy(&self.head).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_ends_are_kept_and_the_middle_is_dropped() {
        let mut long = b"first\n".to_vec();
        long.extend(vec![b'x'; 200_000]);
        long.extend(b"\nlast");
        let mut capture = Capture::default();
        let mut reader = long.as_slice();
        assert!(capture.read(&mut reader, 1_000_000).await.unwrap());
        let text = capture.text();
        assert!(text.starts_with("first\n") && text.ends_with("\nlast"));
        assert!(text.contains("bytes left out"));
        assert!(text.len() < 70_000);
    }

    #[tokio::test]
    async fn an_endless_reader_is_given_up() {
        let mut capture = Capture::default();
        let mut endless = tokio::io::repeat(b'y');
        assert!(!capture.read(&mut endless, 100_000).await.unwrap());
        assert!(capture.text().len() < 70_000);
    }
}

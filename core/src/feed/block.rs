//! Blocks: pages of feeds as they travel, packed and compressed. A block is read with the ones before it in the same answer
//! as its dictionary, so that what one visit says the next need not say again; whoever reads an answer from its beginning
//! needs nothing else. Bytes: `docs/formats.md`, "Feed".
//!
//! Promises: what is read back is at most [`FEED_BLOCK_BYTES_MAX`], checked before it is allocated, and a window holds at
//! most [`COMPRESS_WINDOW_BYTES`]. Refuses: bytes that are not what the sender's window makes of pages.

use serde::{Deserialize, Serialize};

use crate::compress::{compress, decompress};
use crate::feed::pack::{pack, unpack};
use crate::feed::page::FeedPage;
use crate::limits::{COMPRESS_WINDOW_BYTES, FEED_BLOCK_BYTES_MAX};

/// Pages on their way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedBlock {
    /// Bytes of the packed pages.
    length: u32,
    /// Those compressed; as they are when they are as many.
    bytes: Vec<u8>,
}

/// What both sides of one answer have seen of it.
#[derive(Clone, Default)]
pub struct BlockWindow {
    seen: Vec<u8>,
}

impl BlockWindow {
    /// Makes a block of pages that join on to each other: as many as fit, at least one. Returns how many.
    pub fn make_block(&mut self, pages: &[FeedPage]) -> (FeedBlock, usize) {
        let mut bytes = 0;
        let fits = |page: &&FeedPage| {
            bytes += page.packed_bytes_max();
            bytes <= FEED_BLOCK_BYTES_MAX
        };
        let count = pages.iter().take_while(fits).count().max(1).min(pages.len());
        let packed = pack(pages.get(..count).unwrap_or_default());
        let compressed = match packed.len() < COMPRESS_BYTES_MIN {
            true => packed.clone(),
            false => compress(&packed, &self.seen),
        };
        let length = u32::try_from(packed.len()).expect("a few pages");
        let bytes = if compressed.len() < packed.len() { compressed } else { packed.clone() };
        self.note(&packed);
        (FeedBlock { length, bytes }, count)
    }

    /// The pages of the next block.
    ///
    /// # Errors
    /// [`BlockFault`]; the rest of the answer cannot be read then.
    pub fn read_block(&mut self, block: &FeedBlock) -> Result<Vec<FeedPage>, BlockFault> {
        let length = usize::try_from(block.length).unwrap_or(usize::MAX);
        if length > FEED_BLOCK_BYTES_MAX {
            return Err(BlockFault::TooLong { limit: FEED_BLOCK_BYTES_MAX, got: length });
        }
        let packed = match length == block.bytes.len() {
            true => block.bytes.clone(),
            false => decompress(&block.bytes, &self.seen, length).map_err(|_| BlockFault::Compressed)?,
        };
        let pages = unpack(&packed).map_err(|_| BlockFault::Pages)?;
        self.note(&packed);
        Ok(pages)
    }

    fn note(&mut self, packed: &[u8]) {
        self.seen.extend(packed);
        let excess = self.seen.len().saturating_sub(COMPRESS_WINDOW_BYTES);
        self.seen.drain(..excess);
    }
}

impl std::fmt::Debug for BlockWindow {
    /// The length alone: the bytes are personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlockWindow({} bytes)", self.seen.len())
    }
}

/// Why a block was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockFault {
    /// It says that it holds more than a block may.
    #[error("block of {got} bytes, at most {limit}")]
    TooLong {
        /// [`FEED_BLOCK_BYTES_MAX`].
        limit: usize,
        /// What it says.
        got: usize,
    },
    /// It does not decompress to what it says.
    #[error("block does not decompress")]
    Compressed,
    /// What it holds are no pages.
    #[error("block holds no pages")]
    Pages,
}

/// Less than this is not worth the compressor's tables.
const COMPRESS_BYTES_MIN: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Body, PageSeed, Record, RecordKind, Seq};
    use crate::time::UnixSeconds;

    fn page(first: u64, count: u64, length: usize) -> FeedPage {
        let mut page = FeedPage::new(Seq(first), PageSeed([5; 32]));
        for seq in first..first + count {
            let body = format!("lượt khám {seq} tại trạm y tế ").into_bytes();
            let body = Body::new(body.into_iter().cycle().take(length).collect()).unwrap();
            page.push(Record::first(Seq(seq), RecordKind::Visit, body, UnixSeconds(1))).unwrap();
        }
        page
    }

    #[test]
    fn blocks_read_back_in_the_order_of_the_answer() {
        let pages: Vec<FeedPage> = (0..60).map(|n| page(n * 32, 32, 250)).collect();
        let (mut server, mut phone) = (BlockWindow::default(), BlockWindow::default());
        let (mut rest, mut sizes) = (&pages[..], Vec::new());
        let mut read = Vec::new();
        let mut blocks = Vec::new();
        while !rest.is_empty() {
            let (block, count) = server.make_block(rest);
            rest = &rest[count..];
            read.extend(phone.read_block(&block).unwrap());
            sizes.push(block.bytes.len());
            blocks.push(block);
        }
        assert_eq!(read, pages);
        assert!(blocks.len() > 10 && sizes.iter().sum::<usize>() < 60 * 32 * 250 / 20, "{sizes:?}");
        // Out of its order a block is not what it was.
        assert_eq!(BlockWindow::default().read_block(&blocks[0]).unwrap(), pages[..3]);
        assert!(BlockWindow::default().read_block(&blocks[5]).is_err());
    }

    #[test]
    fn a_small_block_travels_as_it_is_and_a_large_page_alone() {
        let mut window = BlockWindow::default();
        let (block, count) = window.make_block(&[page(0, 1, 30), page(1, 1, 30)]);
        assert_eq!((count, block.length as usize), (2, block.bytes.len()));
        let large = page(2, 3, 4_096);
        let (block, count) = window.make_block(&[large.clone(), large.clone(), large]);
        assert!(count < 3 && block.length as usize <= FEED_BLOCK_BYTES_MAX);
    }

    #[test]
    fn what_says_too_much_or_something_else_is_refused() {
        let (block, _) = BlockWindow::default().make_block(&[page(0, 20, 300)]);
        let read = |block: FeedBlock| BlockWindow::default().read_block(&block).unwrap_err();
        let (limit, got) = (FEED_BLOCK_BYTES_MAX, FEED_BLOCK_BYTES_MAX + 1);
        assert_eq!(
            read(FeedBlock { length: got as u32, ..block.clone() }),
            BlockFault::TooLong { limit, got }
        );
        assert_eq!(read(FeedBlock { length: block.length - 1, ..block }), BlockFault::Compressed);
        let bytes = vec![7; 40];
        assert_eq!(read(FeedBlock { length: 40, bytes }), BlockFault::Pages);
    }
}

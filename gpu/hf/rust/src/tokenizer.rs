// gpu/hf/rust/src/tokenizer.rs - tokenizer.json through the tokenizers crate.
use crate::{Range, Res};
use std::path::Path;
pub use tokenizers::Tokenizer;

pub fn load(file: &Path) -> Res<Tokenizer> {
    let mut t = Tokenizer::from_file(file)?;
    // A file may carry the cut and the padding of the run that wrote it; here rows keep their length.
    t.with_truncation(None)?;
    t.with_padding(None);
    Ok(t)
}
/// The token numbers and, if wanted, the byte range of each in `text`.
pub fn encode(
    t: &Tokenizer,
    text: &str,
    add_special: bool,
    with_ranges: bool,
) -> Res<(Vec<u32>, Vec<Range>)> {
    if !with_ranges {
        return Ok((t.encode_fast(text, add_special)?.get_ids().to_vec(), Vec::new()));
    }
    let e = t.encode(text, add_special)?;
    let places = e.get_offsets().iter();
    let ranges = places.map(|&(b, e)| Range { begin: b as u64, end: e as u64 }).collect();
    Ok((e.get_ids().to_vec(), ranges))
}

// gpu/hf/rust/src/tokenizer.rs - tokenizer.json through the tokenizers crate.
use crate::words::Words;
use crate::{Range, Res};
use std::path::Path;

pub struct Tokenizer {
    pub whole: tokenizers::Tokenizer,
    words: Option<Words>, // a faster way to the same tokens, where the tokenizer is of that kind
}
pub fn load(file: &Path) -> Res<Tokenizer> {
    let mut whole = tokenizers::Tokenizer::from_file(file)?;
    // A file may carry the cut and the padding of the run that wrote it; here rows keep their length.
    whole.with_truncation(None)?;
    whole.with_padding(None);
    let words = Words::of(&whole);
    Ok(Tokenizer { whole, words })
}
/// The token numbers and, if wanted, the byte range of each in `text`.
pub fn encode(t: &Tokenizer, text: &str, add_special: bool, with_ranges: bool) -> Res<(Vec<u32>, Vec<Range>)> {
    if let Some(words) = &t.words {
        if let Some(made) = words.encode(&t.whole, text, add_special, with_ranges)? {
            return Ok(made);
        }
    }
    if !with_ranges {
        return Ok((t.whole.encode_fast(text, add_special)?.get_ids().to_vec(), Vec::new()));
    }
    let e = t.whole.encode(text, add_special)?;
    let places = e.get_offsets().iter();
    let ranges = places.map(|&(b, e)| Range { begin: b as u64, end: e as u64 }).collect();
    Ok((e.get_ids().to_vec(), ranges))
}

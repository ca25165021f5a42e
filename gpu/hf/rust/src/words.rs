// gpu/hf/rust/src/words.rs - byte-level BPE word by word, with the words that were seen kept. Gives
// what the tokenizers crate gives: words are its own, split as it splits; it costs a fraction.
use crate::{Range, Res};
use ahash::AHashMap;
use aho_corasick::{AhoCorasick, MatchKind};
use regex_automata::{meta, Anchored, Input};
use std::sync::Mutex;
use tokenizers::pre_tokenizers::split::SplitPattern;
use tokenizers::tokenizer::{Model, SplitDelimiterBehavior};
use tokenizers::{ModelWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer};
use unicode_normalization_alignments::is_nfc;

const WORD_BYTES_MAX: usize = 64; // of a word that is kept
const WORDS_MAX: usize = 50_000; // kept at a time, about 6 MiB
/// Behind a pattern: of blanks before a word the last one belongs to the word.
const BLANKS: &str = r"|\s+(?!\S)|\s+";
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// One way of splitting a text further.
enum Stage {
    Digits { each: bool },
    /// blanks: the pattern ended in BLANKS, of which `\s+` is the second pattern here.
    Pattern { regex: meta::Regex, blanks: bool },
}
struct Added {
    finder: AhoCorasick,
    ids: Vec<u32>,
    blanks: Vec<(usize, usize)>, // at the begin and end of each
}
/// A token that ends at this byte of its word.
#[derive(Clone, Copy)]
struct Piece {
    id: u32,
    end: u32,
}
#[derive(Default)]
struct Kept {
    words: AHashMap<Box<str>, (u32, u32)>,
    pieces: Vec<Piece>,
    searches: Vec<Option<meta::Cache>>, // by stage
}
pub struct Words {
    raw: Option<Added>,        // tokens that are found before the text is normalised
    normalised: Option<Added>, // and after
    is_nfc: bool,
    stages: Vec<Stage>,
    letters: Vec<Option<char>>, // of the byte-level alphabet by byte, where the vocabulary has it
    trims: Vec<bool>,   // post-processors that take blanks out of ranges: whether the first one stays
    around: Option<(Vec<u32>, Vec<u32>)>, // what the post-processor puts before and behind
    kept: Mutex<Vec<Kept>>, // one for each thread that encodes at the time
}
/// What an encoding becomes.
struct Out<'a> {
    text: &'a str,
    ids: Vec<u32>,
    ranges: Option<Vec<Range>>,
    blanks: Vec<(usize, usize)>, // at the begin and end of each token, where ranges are wanted
    fits: bool, // no part of the text is for the crate
}

impl Words {
    /// None: not a tokenizer of this kind.
    pub fn of(t: &Tokenizer) -> Option<Words> {
        let ModelWrapper::BPE(bpe) = t.get_model() else { return None };
        let is_known = |letter: &char| bpe.token_to_id(letter.encode_utf8(&mut [0; 4])).is_some();
        let letters = alphabet().into_iter().map(|letter| Some(letter).filter(is_known)).collect();
        let plain = bpe.dropout.is_none() && bpe.continuing_subword_prefix.is_none() && bpe.end_of_word_suffix.is_none();
        if !plain || t.get_encode_special_tokens() {
            return None;
        }
        let is_nfc = match t.get_normalizer() {
            None => false,
            Some(NormalizerWrapper::NFC(_)) => true,
            Some(_) => return None,
        };
        let mut stages = Vec::new();
        if !add_stages(t.get_pre_tokenizer()?, &mut stages)? {
            return None;
        }
        let mut trims = Vec::new();
        if let Some(processor) = t.get_post_processor() {
            add_trims(processor, &mut trims)?;
        }
        let (raw, normalised) = (Added::of(t, false)?, Added::of(t, true)?);
        let (around, kept) = (around(t), Mutex::default());
        let made = Words { raw, normalised, is_nfc, stages, letters, trims, around, kept };
        made.agrees(t).then_some(made)
    }
    /// A look at texts of every kind, should the crate have changed.
    fn agrees(&self, t: &Tokenizer) -> bool {
        let added: String = t.get_added_tokens_decoder().values().take(3).map(|token| token.content.clone() + "\n x").collect();
        let texts = [
            "It's  the 1st of 2024,\n\n  isn't\u{a0}it?\r\n\tfn x() { return 'll; }   ",
            "  \u{3000}\u{e9}t\u{e9} \u{4f60}\u{597d}\u{ff0c}\u{1f469}\u{200d}\u{1f9d1} \u{e9}\u{301} \u{bd}\u{663}12345 \u{0}\u{7f}x",
            &added,
        ];
        texts.iter().all(|text| {
            let Ok(theirs) = t.encode(*text, false) else { return true };
            let Ok(Some((ids, ranges))) = self.encode(t, text, false, true) else { return true }; // the crate's
            let places = ranges.iter().map(|r| (r.begin as usize, r.end as usize));
            ids == theirs.get_ids() && places.eq(theirs.get_offsets().iter().copied())
        })
    }
    /// None: this text is for the crate.
    pub fn encode(&self, t: &Tokenizer, text: &str, add_special: bool, with_ranges: bool) -> Res<Option<(Vec<u32>, Vec<Range>)>> {
        let nothing = (Vec::new(), Vec::new());
        let (before, behind) = match (add_special, &self.around) {
            (false, _) => &nothing,
            (true, Some(around)) if !with_ranges => around,
            _ => return Ok(None),
        };
        let lock = || self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut kept = lock().pop().unwrap_or_default();
        let mut out = Out { text, ids: before.clone(), ranges: with_ranges.then(Vec::new), blanks: Vec::new(), fits: true };
        self.text(t, &mut kept, &mut out)?;
        lock().push(kept);
        if !out.fits {
            return Ok(None);
        }
        out.ids.extend(behind);
        let mut ranges = out.ranges.unwrap_or_default();
        for &keeps_first in &self.trims {
            trim(&mut ranges, &out.blanks, keeps_first);
        }
        Ok(Some((out.ids, ranges)))
    }
    fn text(&self, t: &Tokenizer, kept: &mut Kept, out: &mut Out) -> Res<()> {
        split(&self.raw, out, 0, out.text.len(), &mut |out, begin, end| {
            let part = &out.text[begin..end];
            out.fits &= !self.is_nfc || part.is_ascii() || is_nfc(part);
            split(&self.normalised, out, begin, end, &mut |out, begin, end| self.stage(t, 0, kept, out, begin, end))
        })
    }
    fn stage(&self, t: &Tokenizer, i: usize, kept: &mut Kept, out: &mut Out, begin: usize, end: usize) -> Res<()> {
        let text = &out.text[begin..end];
        match self.stages.get(i) {
            None => self.word(t, kept, out, begin, end),
            Some(Stage::Digits { .. }) if text.bytes().all(|b| b.is_ascii() && !b.is_ascii_digit()) => {
                self.stage(t, i + 1, kept, out, begin, end)
            }
            Some(Stage::Digits { each }) => {
                let mut from = 0;
                let mut was_digit = None;
                for (at, c) in text.char_indices() {
                    let is_digit = c.is_numeric();
                    if was_digit.is_some_and(|was| was != is_digit || (was && *each)) {
                        self.stage(t, i + 1, kept, out, begin + from, begin + at)?;
                        from = at;
                    }
                    was_digit = Some(is_digit);
                }
                self.stage(t, i + 1, kept, out, begin + from, end)
            }
            Some(Stage::Pattern { regex, blanks }) => {
                kept.searches.resize_with(self.stages.len(), || None);
                let mut search = kept.searches[i].take().unwrap_or_else(|| regex.create_cache());
                let mut at = 0;
                while at < text.len() {
                    // Nearly always the next word begins here: that is a search in one direction.
                    let input = Input::new(text).range(at..);
                    let here = regex.search_with(&mut search, &input.clone().anchored(Anchored::Yes));
                    let Some(found) = here.or_else(|| regex.search_with(&mut search, &input)) else { break };
                    let mut stop = found.end();
                    if *blanks && found.pattern().as_usize() == 1 && stop < text.len() {
                        let last = text[found.start()..stop].char_indices().next_back().map_or(0, |(n, _)| n);
                        stop = if last > 0 { found.start() + last } else { stop };
                    }
                    if at < found.start() {
                        self.stage(t, i + 1, kept, out, begin + at, begin + found.start())?;
                    }
                    self.stage(t, i + 1, kept, out, begin + found.start(), begin + stop)?;
                    at = stop;
                }
                kept.searches[i] = Some(search);
                if at < text.len() { self.stage(t, i + 1, kept, out, begin + at, end) } else { Ok(()) }
            }
        }
    }
    fn word(&self, t: &Tokenizer, kept: &mut Kept, out: &mut Out, begin: usize, end: usize) -> Res<()> {
        let word = &out.text[begin..end];
        if let Some(&(first, last)) = kept.words.get(word) {
            out.add(&kept.pieces[first as usize..last as usize], begin);
            return Ok(());
        }
        let Some(letters) = word.bytes().map(|b| self.letters[b as usize]).collect::<Option<String>>() else {
            out.fits = false; // bytes that the vocabulary has not: the model decides
            return Ok(());
        };
        let mut at = 0;
        let mut pieces = Vec::new();
        for token in t.get_model().tokenize(&letters)? {
            at += letters[token.offsets.0..token.offsets.1].chars().count();
            pieces.push(Piece { id: token.id, end: at as u32 });
        }
        out.add(&pieces, begin);
        if word.len() <= WORD_BYTES_MAX {
            if kept.words.len() == WORDS_MAX {
                kept.words.clear();
                kept.pieces.clear();
            }
            let first = kept.pieces.len() as u32;
            kept.pieces.extend(&pieces);
            kept.words.insert(word.into(), (first, kept.pieces.len() as u32));
        }
        Ok(())
    }
}
impl Out<'_> {
    fn add(&mut self, pieces: &[Piece], begin: usize) {
        self.ids.extend(pieces.iter().map(|p| p.id));
        let Some(ranges) = &mut self.ranges else { return };
        let mut from = begin;
        for piece in pieces {
            let to = begin + piece.end as usize;
            let bytes = &self.text.as_bytes()[from..to];
            let is_blank = |b: &&u8| **b == b' ';
            self.blanks.push((bytes.iter().take_while(is_blank).count(), bytes.iter().rev().take_while(is_blank).count()));
            // A part of a character has the character's range.
            let first = (0..=from).rev().find(|&i| self.text.is_char_boundary(i)).unwrap_or(0);
            let last = (to..).find(|&i| self.text.is_char_boundary(i)).unwrap_or(to);
            ranges.push(Range { begin: first as u64, end: last as u64 });
            from = to;
        }
    }
}
impl Added {
    /// None: there are tokens that take their surroundings into account; Some(None): there are none.
    fn of(t: &Tokenizer, normalised: bool) -> Option<Option<Added>> {
        let mut tokens: Vec<_> = t.get_added_tokens_decoder().into_iter().collect();
        tokens.sort_by_key(|(id, _)| *id);
        tokens.retain(|(_, token)| token.normalized == normalised);
        let plain = |(_, token): &(u32, tokenizers::AddedToken)| {
            let is_same = !normalised || t.get_normalizer().is_none() || token.content.is_ascii();
            is_same && !token.content.is_empty() && !token.single_word && !token.lstrip && !token.rstrip
        };
        if !tokens.iter().all(plain) {
            return None;
        }
        if tokens.is_empty() {
            return Some(None);
        }
        let contents: Vec<&str> = tokens.iter().map(|(_, token)| token.content.as_str()).collect();
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&contents).ok()?;
        let is_blank = |c: &char| *c == '\u{120}' || c.is_whitespace();
        let blanks = |s: &&str| (s.chars().take_while(is_blank).count(), s.chars().rev().take_while(is_blank).count());
        let blanks = contents.iter().map(blanks).collect();
        Some(Some(Added { finder, ids: tokens.iter().map(|(id, _)| *id).collect(), blanks }))
    }
}
/// The added tokens between begin and end go out, what is between them to `rest`.
fn split(
    added: &Option<Added>,
    out: &mut Out,
    begin: usize,
    end: usize,
    rest: &mut dyn FnMut(&mut Out, usize, usize) -> Res<()>,
) -> Res<()> {
    let mut at = begin;
    if let Some(added) = added {
        for found in added.finder.find_iter(&out.text[begin..end]) {
            let (first, last) = (begin + found.start(), begin + found.end());
            if at < first {
                rest(out, at, first)?;
            }
            let which = found.pattern().as_usize();
            out.ids.push(added.ids[which]);
            if let Some(ranges) = &mut out.ranges {
                ranges.push(Range { begin: first as u64, end: last as u64 });
                out.blanks.push(added.blanks[which]);
            }
            at = last;
        }
    }
    if at < end { rest(out, at, end) } else { Ok(()) }
}
/// As the crate's process_offsets.
fn trim(ranges: &mut [Range], blanks: &[(usize, usize)], keeps_first: bool) {
    for (i, (range, &(before, behind))) in ranges.iter_mut().zip(blanks).enumerate() {
        let (before, behind) = (before as u64, behind as u64);
        let stays = (i == 0 || range.begin == 0) && keeps_first && before == 1;
        if before > 0 && !stays {
            range.begin = (range.begin + before).min(range.end);
        }
        if behind > 0 && range.end >= behind {
            range.end = (range.end - behind).max(range.begin);
        }
    }
}
/// Whether it ends in the byte-level alphabet. None: a way of splitting that is not known here.
fn add_stages(p: &PreTokenizerWrapper, out: &mut Vec<Stage>) -> Option<bool> {
    match p {
        PreTokenizerWrapper::Sequence(all) => {
            let mut ended = false;
            for one in all.as_ref() {
                if ended {
                    return None;
                }
                ended = add_stages(one, out)?;
            }
            Some(ended)
        }
        PreTokenizerWrapper::Digits(digits) => {
            out.push(Stage::Digits { each: digits.individual_digits });
            Some(false)
        }
        PreTokenizerWrapper::Split(split) => {
            let SplitPattern::Regex(pattern) = &split.pattern else { return None };
            if split.invert || split.behavior != SplitDelimiterBehavior::Isolated {
                return None;
            }
            out.push(pattern_stage(pattern)?);
            Some(false)
        }
        PreTokenizerWrapper::ByteLevel(level) => {
            if level.use_regex {
                out.push(pattern_stage(GPT2)?);
            }
            (!level.add_prefix_space).then_some(true)
        }
        _ => None,
    }
}
/// None: the pattern needs an engine that goes back.
fn pattern_stage(pattern: &str) -> Option<Stage> {
    let (rest, blanks) = match pattern.strip_suffix(BLANKS) {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    // What the two engines read differently: possessive repetition.
    let repeats_count = |p: &[u8]| matches!(p, [b'0'..=b'9' | b',', b'}', b'+']);
    if ["?+", "*+", "++"].iter().any(|p| rest.contains(p)) || rest.as_bytes().windows(3).any(repeats_count) {
        return None;
    }
    let patterns = if blanks { vec![rest, r"\s+"] } else { vec![rest] };
    let regex = meta::Regex::new_many(&patterns).ok()?;
    (!regex.is_match("")).then_some(Stage::Pattern { regex, blanks })
}
fn add_trims(p: &PostProcessorWrapper, out: &mut Vec<bool>) -> Option<()> {
    match p {
        PostProcessorWrapper::Sequence(all) => all.as_ref().iter().try_for_each(|one| add_trims(one, out)),
        PostProcessorWrapper::ByteLevel(level) => {
            if level.trim_offsets {
                out.push(level.add_prefix_space);
            }
            Some(())
        }
        PostProcessorWrapper::Template(_) => Some(()),
        _ => None,
    }
}
/// What the post-processor puts around a text's ids, if it is the same for two texts.
fn around(t: &Tokenizer) -> Option<(Vec<u32>, Vec<u32>)> {
    let of = |text: &str| {
        let plain = t.encode_fast(text, false).ok()?.get_ids().to_vec();
        let whole = t.encode_fast(text, true).ok()?;
        let before = whole.get_special_tokens_mask().iter().take_while(|&&m| m == 1).count();
        let (ids, end) = (whole.get_ids(), before + plain.len());
        (ids.get(before..end)? == plain).then(|| (ids[..before].to_vec(), ids[end..].to_vec()))
    };
    let one = of("a")?;
    (of("The 2nd.")? == one).then_some(one)
}
/// The characters that stand for bytes, as in GPT-2.
fn alphabet() -> Vec<char> {
    let mut next = 256;
    let mut letter = |b: u8| {
        if matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff) {
            return b as char;
        }
        next += 1;
        char::from_u32(next - 1).unwrap_or(' ')
    };
    (0..=255).map(|b| letter(b)).collect()
}

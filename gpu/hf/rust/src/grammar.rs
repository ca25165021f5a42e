// gpu/hf/rust/src/grammar.rs - which tokens an answer may go on with, by llguidance.
use crate::Res;
use llguidance::api::{ParserLimits, TopLevelGrammar};
use llguidance::{token_bytes_from_tokenizer_json, Matcher, ParserFactory};
use serde_json::{json, Value};
use std::path::Path;
use std::sync::Arc;
use llguidance::toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};

/// Blanks between the parts of a JSON text: a new line with its indentation, or two. A small model
/// whose probabilities have gone flat would write blanks without end.
const BLANKS: &str = r"\r?\n[ \t]{0,40}| {1,2}";

/// A model's tokens as bytes, and what grammars share.
pub struct Vocabulary {
    factory: ParserFactory,
}
/// stops: the tokens that end an answer, at least one. size: of the model's logits; of tokens that
/// the tokenizer has beyond it none is ever allowed.
pub fn vocabulary(tokenizer_json: &Path, size: usize, stops: &[u32]) -> Res<Vocabulary> {
    let text = std::fs::read(tokenizer_json)?;
    let mut bytes = token_bytes_from_tokenizer_json(&serde_json::from_slice::<Value>(&text)?)?;
    bytes.resize(size, Vec::new());
    if stops.is_empty() || stops.iter().any(|&s| s as usize >= size) {
        return Err("no token of the vocabulary ends an answer".into());
    }
    let trie = TokTrie::from(&TokRxInfo::new(size as u32, stops[0]), &bytes).with_eos_tokens(stops);
    let env: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
    let mut factory = ParserFactory::new_simple(&env)?;
    factory.quiet();
    *factory.limits_mut() = ParserLimits { verbose_errors: false, ..ParserLimits::default() };
    Ok(Vocabulary { factory })
}
/// The bytes of a token; a special one's are its name.
pub fn token_bytes(v: &Vocabulary, token: u32) -> &[u8] {
    let bytes = v.factory.tok_env().tok_trie().token(token);
    bytes.strip_prefix(&[TokTrie::SPECIAL_TOKEN_MARKER]).unwrap_or(bytes)
}

/// How far one answer has come in its grammar.
pub struct Grammar(Matcher);
/// A JSON text that the schema allows, its properties in the schema's order.
pub fn of_schema(v: &Vocabulary, schema: &str) -> Res<Grammar> {
    let mut schema: Value = serde_json::from_str(schema)?;
    if schema == Value::Bool(true) {
        schema = json!({});
    }
    match schema.as_object_mut() {
        // Ours: a client's would choose how we compile.
        Some(members) => members.insert("x-guidance".into(), json!({"whitespace_pattern": BLANKS})),
        None => return Err("a schema is an object".into()),
    };
    let parser = v.factory.create_parser(TopLevelGrammar::from_json_schema(schema))?;
    let mut matcher = Matcher::new(Ok(parser));
    if let Some(why) = matcher.get_error() {
        return Err(why.into());
    }
    if let Some(what) = matcher.grammar_warnings().into_iter().next() {
        return Err(what.into());
    }
    Ok(Grammar(matcher))
}
/// One bit a token, in words of 32, of the next token. At the end only the stops are allowed.
pub fn mask(g: &mut Grammar, words: &mut [u32]) -> Res<()> {
    let mask = g.0.compute_mask_or_eos()?;
    let from = mask.as_slice();
    let count = words.len().min(from.len());
    words[..count].copy_from_slice(&from[..count]);
    words[count..].fill(0);
    Ok(())
}
/// The token that was chosen; an error where the mask forbids it.
pub fn take(g: &mut Grammar, token: u32) -> Res<()> {
    if !g.0.is_stopped() {
        g.0.consume_token(token)?;
    }
    Ok(())
}

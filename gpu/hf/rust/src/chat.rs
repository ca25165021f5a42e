// gpu/hf/rust/src/chat.rs - chat templates: Jinja as transformers renders it, with generation spans.
use crate::{Range, Res};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{Environment, Error, ErrorKind, State};
use serde_json::Value as Json;

// Plane-15 private-use characters stand around what a {% generation %} block makes; `render` takes
// them out again and refuses them in its input.
const BEGIN: char = '\u{F0001}';
const END: char = '\u{F0002}';
const INSTRUCTIONS_MAX: u64 = 100_000_000; // a second or two; a chat of 4 MiB needs some millions
const TEXT_BYTES_MAX: usize = 64 << 20;

pub struct Chat {
    pub text: String,
    pub generated: Vec<Range>, // byte ranges of text
    pub marked: bool,          // the template has generation blocks
}

/// A compiled template; any thread may render it.
pub struct Template {
    env: Result<Environment<'static>, String>,
    marked: bool,
}
/// Does not fail: every render says what was wrong with the source.
pub fn compile(source: &str) -> Template {
    let (rewritten, marked) = rewrite_generation(source);
    let compiled = || -> Res<Environment<'static>> {
        if source.contains([BEGIN, END]) {
            return Err(PRIVATE.into());
        }
        let mut env = environment()?;
        env.add_template_owned("chat", rewritten).map_err(|e| format!("chat template: {e:#}"))?;
        Ok(env)
    };
    Template { env: compiled().map_err(|e| e.to_string()), marked }
}
const PRIVATE: &str = "the chat holds the private-use character U+F0001 or U+F0002: remove it";
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// What transformers does to messages before the template sees them: members that are null are as
/// absent, and the reasoning is there under each name that templates read.
fn normalised(messages: &mut Json) -> Res<()> {
    let Some(list) = messages.as_array_mut() else {
        return Err("messages must be a list".into());
    };
    if list.is_empty() {
        return Err("the conversation is empty: give at least one message".into());
    }
    for message in list {
        let Some(members) = message.as_object_mut() else {
            return Err(format!("a message must be an object, not {message}").into());
        };
        members.retain(|_, value| !value.is_null());
        let Some(said) = REASONING.iter().find_map(|name| members.get(*name)).cloned() else {
            continue;
        };
        if !members.contains_key("thinking") {
            members.shift_insert(0, "thinking".to_string(), said.clone());
        }
        members.insert("reasoning_content".to_string(), said);
    }
    Ok(())
}

/// now_s: what strftime_now says, in Unix seconds as UTC; negative: the local time now.
pub fn render(template: &Template, variables: &str, now_s: i64) -> Res<Chat> {
    let env = template.env.as_ref().map_err(|e| e.clone())?;
    let mut variables: Json =
        serde_json::from_str(variables).map_err(|e| format!("the chat is not JSON: {e}"))?;
    if has_mark(&variables) {
        return Err(PRIVATE.into());
    }
    normalised(&mut variables["messages"])?;
    variables["kairo_now"] = now_s.into();
    let made = env
        .get_template("chat")?
        .render(Value::from(Serde(&variables)))
        .map_err(|e| format!("chat template: {e:#}"))?;
    if made.len() > TEXT_BYTES_MAX {
        return Err(format!("the rendered chat has {} bytes; at most {TEXT_BYTES_MAX}", made.len()).into());
    }
    let (text, generated) = take_marks(&made);
    Ok(Chat { text, generated, marked: template.marked })
}

fn has_mark(value: &Json) -> bool {
    match value {
        Json::String(s) => s.contains([BEGIN, END]),
        Json::Array(a) => a.iter().any(has_mark),
        Json::Object(o) => o.iter().any(|(k, v)| k.contains([BEGIN, END]) || has_mark(v)),
        _ => false,
    }
}
fn take_marks(made: &str) -> (String, Vec<Range>) {
    let mut text = String::with_capacity(made.len());
    let mut ranges = Vec::new();
    let mut begin = 0;
    for c in made.chars() {
        match c {
            BEGIN => begin = text.len(),
            END => ranges.push(Range { begin: begin as u64, end: text.len() as u64 }),
            c => text.push(c),
        }
    }
    (text, ranges)
}

/// `{% generation %}..{% endgeneration %}` becomes a filter block; its -/+ marks stay.
fn rewrite_generation(source: &str) -> (String, bool) {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    let mut marked = false;
    while let Some(begin) = rest.find("{%") {
        out.push_str(&rest[..begin]);
        let Some(end) = rest[begin..].find("%}") else {
            rest = &rest[begin..];
            break;
        };
        let tag = &rest[begin..begin + end + 2];
        let word = tag[2..end].trim_matches(|c: char| c == '-' || c == '+' || c.is_whitespace());
        match word {
            "generation" => {
                marked = true;
                out.push_str(&tag.replace("generation", "filter kairo_generation"));
            }
            "endgeneration" => out.push_str(&tag.replace("endgeneration", "endfilter")),
            _ => out.push_str(tag),
        }
        rest = &rest[begin + end + 2..];
    }
    out.push_str(rest);
    (out, marked)
}

/// What transformers adds to Jinja2, and where MiniJinja differs from it.
fn environment() -> Res<Environment<'static>> {
    let mut env = Environment::new();
    env.set_fuel(Some(INSTRUCTIONS_MAX));
    env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    env.add_function("raise_exception", |why: String| -> Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, why))
    });
    env.add_function("strftime_now", |state: &State, format: String| -> Result<String, Error> {
        use std::fmt::Write;
        let now_s = state.lookup("kairo_now").and_then(|v| v.as_i64()).unwrap_or(-1);
        let mut out = String::new();
        let written = match chrono::DateTime::from_timestamp(now_s, 0) {
            Some(moment) if now_s >= 0 => write!(out, "{}", moment.format(&format)),
            _ => write!(out, "{}", chrono::Local::now().format(&format)),
        };
        written.map_err(|_| Error::new(ErrorKind::InvalidOperation, "strftime_now: bad format"))?;
        Ok(out)
    });
    env.add_filter("tojson", tojson);
    // MiniJinja calls none iterable; Jinja2 does not.
    env.add_test("iterable", |v: &Value| !v.is_none() && v.try_iter().is_ok());
    env.add_filter("kairo_generation", |s: String| format!("{BEGIN}{s}{END}"));
    Ok(env)
}

/// transformers' tojson: json.dumps with ensure_ascii=False and no HTML escapes.
fn tojson(value: Value, arguments: Kwargs) -> Result<Value, Error> {
    let bad = |why: &str| Error::new(ErrorKind::InvalidOperation, format!("tojson: {why}"));
    let indent: Option<usize> = arguments.get("indent")?;
    let separators: Option<Vec<String>> = arguments.get("separators")?;
    let (item, key) = match separators.as_deref() {
        Some([item, key]) => (item.clone(), key.clone()),
        Some(_) => return Err(bad("separators must be two strings")),
        None => (if indent.is_some() { "," } else { ", " }.to_string(), ": ".to_string()),
    };
    let style = Style {
        indent: indent.map(|n| n.min(64)),
        item,
        key,
        sort_keys: arguments.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        ensure_ascii: arguments.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
    };
    arguments.assert_all_used()?;
    let json = serde_json::to_value(&value)
        .map_err(|e| Error::new(ErrorKind::BadSerialization, e.to_string()))?;
    let mut out = String::new();
    style.dump(&json, 0, &mut out);
    Ok(Value::from_safe_string(out))
}
struct Style {
    indent: Option<usize>,
    item: String,
    key: String,
    sort_keys: bool,
    ensure_ascii: bool,
}
impl Style {
    fn dump(&self, value: &Json, depth: usize, out: &mut String) {
        match value {
            Json::Array(items) if !items.is_empty() => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i > 0 { &self.item } else { "" });
                    self.new_line(depth + 1, out);
                    self.dump(item, depth + 1, out);
                }
                self.new_line(depth, out);
                out.push(']');
            }
            Json::Object(members) if !members.is_empty() => {
                let mut members: Vec<_> = members.iter().collect();
                if self.sort_keys {
                    members.sort_by_key(|(name, _)| *name);
                }
                out.push('{');
                for (i, (name, item)) in members.into_iter().enumerate() {
                    out.push_str(if i > 0 { &self.item } else { "" });
                    self.new_line(depth + 1, out);
                    self.text(name, out);
                    out.push_str(&self.key);
                    self.dump(item, depth + 1, out);
                }
                self.new_line(depth, out);
                out.push('}');
            }
            Json::String(text) => self.text(text, out),
            plain => out.push_str(&plain.to_string()),
        }
    }
    fn text(&self, text: &str, out: &mut String) {
        let quoted = Json::String(text.to_string()).to_string();
        for c in quoted.chars() {
            if !self.ensure_ascii || (' '..='~').contains(&c) {
                out.push(c);
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    fn new_line(&self, depth: usize, out: &mut String) {
        if let Some(width) = self.indent {
            out.push('\n');
            out.push_str(&" ".repeat(width * depth));
        }
    }
}

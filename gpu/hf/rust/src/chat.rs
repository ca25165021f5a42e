// gpu/hf/rust/src/chat.rs - chat templates over messages, as transformers' apply_chat_template
// renders them, with generation spans.
use crate::jinja::{self, Dict, Value};
use crate::{Range, Res};

pub struct Chat {
    pub text: String,
    pub generated: Vec<Range>, // byte ranges of text
    pub marked: bool,          // the template has generation blocks
}
/// A compiled template; any thread may render it.
pub struct Template(Result<jinja::Template, String>);

/// Does not fail: every render says what was wrong with the source.
pub fn compile(source: &str) -> Template {
    Template(jinja::Template::compile(source))
}

/// now_s: what strftime_now says, in Unix seconds as UTC; negative: the local time now.
pub fn render(template: &Template, variables: &str, now_s: i64) -> Res<Chat> {
    let named = |why: &str| format!("chat template: {why}");
    let template = template.0.as_ref().map_err(|why| named(why))?;
    let Value::Dict(given) = jinja::parse_json(variables).map_err(|why| format!("the chat is {why}"))? else {
        return Err("the chat is no JSON object".into());
    };
    let mut variables = Dict::default();
    for (name, value) in given.iter() {
        let is_messages = name.as_str().is_some_and(|n| **n == *"messages");
        let value = if is_messages { normalised(value)? } else { value.clone() };
        variables.insert(name.clone(), value)?;
    }
    let made = template.render(&variables, &|format| strftime(format, now_s)).map_err(|why| named(&why))?;
    let range = |&(begin, end): &(usize, usize)| Range { begin: begin as u64, end: end as u64 };
    let generated = made.generated.iter().map(range).collect();
    Ok(Chat { text: made.text, generated, marked: template.has_generation })
}

/// What transformers does to messages before the template sees them: members that are null are as
/// absent, and the reasoning is there under each name that templates read.
fn normalised(messages: &Value) -> Res<Value> {
    const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];
    let list = messages.iterate()?;
    if list.is_empty() {
        return Err("the conversation is empty: give at least one message".into());
    }
    let mut out = Vec::new();
    for (i, message) in list.iter().enumerate() {
        let Value::Dict(members) = message else {
            return Err(format!("message {i} is no object; it needs a role and a content").into());
        };
        let there = |name: &str| members.member(name).filter(|v| !matches!(v, Value::None));
        let reasoning = REASONING.iter().find_map(|name| there(name)).cloned();
        let mut made = Dict::default();
        if let Some(said) = &reasoning {
            made.insert(Value::str("thinking"), said.clone())?; // a value of the message's own replaces it
        }
        for (name, value) in members.iter().filter(|(_, v)| !matches!(v, Value::None)) {
            made.insert(name.clone(), value.clone())?;
        }
        if let Some(said) = reasoning {
            made.insert(Value::str("reasoning_content"), said)?;
        }
        out.push(Value::dict(made));
    }
    Ok(Value::list(out)?)
}

fn strftime(format: &str, now_s: i64) -> Result<String, String> {
    use std::fmt::Write;
    let mut out = String::new();
    let written = match chrono::DateTime::from_timestamp(now_s, 0) {
        Some(moment) if now_s >= 0 => write!(out, "{}", moment.format(format)),
        _ => write!(out, "{}", chrono::Local::now().format(format)),
    };
    written.map_err(|_| "strftime_now: bad format".to_string())?;
    Ok(out)
}

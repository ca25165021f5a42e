// gpu/hf/rust/src/chat.rs - chat templates over messages, as transformers' apply_chat_template
// renders them, with generation spans.
use crate::jinja::{self, Dict, Value};
use crate::{Range, Res};
use std::rc::Rc;

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

/// A chat as templates see it.
pub struct Turns {
    messages: Vec<Value>,
    variables: Vec<Rc<Dict>>, // of a name the last one counts
    tools: Value,
}
/// messages and tools are JSON arrays, the variables objects; an empty text is none.
pub fn read(messages: &str, tools: &str, variables: [&str; 2]) -> Res<Turns> {
    let list = |text: &str| match jinja::parse_json(text) {
        Ok(value @ Value::List(_)) => Ok(value),
        Ok(_) => Err("messages and tools must be JSON arrays".to_string()),
        Err(why) => Err(format!("messages and tools must be JSON arrays: {why}")),
    };
    let mut given = Vec::new();
    for text in variables.iter().filter(|text| !text.is_empty()) {
        match jinja::parse_json(text)? {
            Value::Dict(dict) => given.push(dict),
            _ => return Err("the variables must be a JSON object".into()),
        }
    }
    let tools = if tools.is_empty() { Value::None } else { list(tools)? };
    Ok(Turns { messages: normalised(&list(messages)?)?, variables: given, tools })
}
/// The first `count` messages, or all. now_s: what strftime_now says, in Unix seconds as UTC;
/// negative: the local time now.
pub fn render(template: &Template, turns: &Turns, count: usize, asks: bool, now_s: i64) -> Res<Chat> {
    let named = |why: &str| format!("chat template: {why}");
    let template = template.0.as_ref().map_err(|why| named(why))?;
    let messages = &turns.messages[..count.min(turns.messages.len())];
    if messages.is_empty() {
        return Err("the conversation is empty: give at least one message".into());
    }
    let mut variables = Dict::default();
    for (name, value) in turns.variables.iter().flat_map(|given| given.iter()) {
        variables.insert(name.clone(), value.clone())?;
    }
    for (name, value) in [
        ("messages", Value::list(messages.to_vec())?),
        ("tools", turns.tools.clone()),
        ("documents", Value::None), // as transformers: there, and none
        ("add_generation_prompt", Value::Bool(asks)),
    ] {
        variables.insert(Value::str(name), value)?;
    }
    let made = template.render(&variables, &|format| strftime(format, now_s)).map_err(|why| named(&why))?;
    let range = |&(begin, end): &(usize, usize)| Range { begin: begin as u64, end: end as u64 };
    let generated = made.generated.iter().map(range).collect();
    Ok(Chat { text: made.text, generated, marked: template.has_generation })
}

/// What transformers does to messages before the template sees them: members that are null are as
/// absent, and the reasoning is there under each name that templates read.
fn normalised(messages: &Value) -> Res<Vec<Value>> {
    const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];
    let mut out = Vec::new();
    for (i, message) in messages.iterate()?.into_iter().enumerate() {
        let Value::Dict(members) = &message else {
            return Err(format!("message {i} is no object; it needs a role and a content").into());
        };
        if members.iter().all(|(name, value)| {
            !matches!(value, Value::None) && !name.as_str().is_some_and(|n| REASONING.contains(&&**n))
        }) {
            out.push(message);
            continue;
        }
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
    Ok(out)
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

//! YAML 1.2 and JSON texts as trees with spans (YAML 1.2.2, §10.3 "Core Schema").
//!
//! `yes`, `no` and `on` are text, `0o17` is 15, integers of any size stay exact. Aliases are expanded within a budget.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};
use weir_api::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_DEPTH_MAX};

use crate::diagnostic::Diagnostic;
use crate::limits::YAML_NODES_MAX;
use crate::source::{Source, Span};
use crate::value::{Number, Record, Value};

/// A value in a text, with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub data: Data,
    /// Where it begins.
    pub span: Span,
}

/// What a [`Node`] is.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A finite number.
    Number(Number),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping.
    Map(Map),
}

/// A mapping in its written order.
pub type Map = IndexMap<String, Member>;

/// A value of a mapping with the place of its key.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The mapping, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match &self.data {
            Data::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The sequence, if it is one.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.data {
            Data::List(items) => Some(items),
            _ => None,
        }
    }

    /// The value of a key, if it is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key).map(|member| &member.value)
    }

    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match &self.data {
            Data::Null => "null",
            Data::Bool(_) => "a boolean",
            Data::Number(_) => "a number",
            Data::Text(_) => "a string",
            Data::List(_) => "a list",
            Data::Map(_) => "a mapping",
        }
    }

    /// The value without places; objects stay records, whatever their `class`.
    pub fn to_value(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Bool(truth) => Value::Bool(*truth),
            Data::Number(number) => Value::Number(number.clone()),
            Data::Text(text) => Value::String(text.clone()),
            Data::List(items) => Value::Array(items.iter().map(Node::to_value).collect()),
            Data::Map(map) => Value::Record(
                map.iter().map(|(key, member)| (key.clone(), member.value.to_value())).collect::<Record>(),
            ),
        }
    }
}

/// Parses a text that holds one YAML or JSON document. An empty text is `null`.
pub fn parse(source: &Arc<Source>) -> Result<Node, Diagnostic> {
    parse_within(source, &mut YAML_NODES_MAX.clone())
}

/// Like [`parse`], for one of several texts that share a budget of nodes.
pub fn parse_within(source: &Arc<Source>, nodes_left: &mut usize) -> Result<Node, Diagnostic> {
    if source.text.len() > DOCUMENT_BYTES_MAX {
        let message = format!("the document has {} bytes; at most {DOCUMENT_BYTES_MAX} are read", source.text.len());
        return Err(Diagnostic::error(&Span::start_of(source), message));
    }
    let mut reader = Reader::new(source, &source.text, *nodes_left);
    let result = reader.document();
    *nodes_left = reader.nodes_left;
    let looks_like_json = source.text.trim_start().starts_with(['{', '[']);
    if result.is_err() && looks_like_json {
        // What JSON allows and YAML does not: tabs as indentation, surrogate pairs. Spaces for tabs keep the columns.
        let plain = join_surrogates(&source.text.replace('\t', " "));
        if let Ok(node) = Reader::new(source, &plain, *nodes_left).document() {
            return Ok(node);
        }
    }
    result
}

/// Replaces `\ud83d\ude00`, legal in JSON and not in YAML, by the character that it means.
fn join_surrogates(text: &str) -> String {
    let unit = |text: &str| -> Option<u32> {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u32::from_str_radix(digits, 16).ok()
    };
    let mut joined = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, from) = rest.split_at(at);
        joined.push_str(before);
        let pair = unit(from)
            .zip(from.get(6..).and_then(unit))
            .filter(|(high, low)| (0xD800..0xDC00).contains(high) && (0xDC00..0xE000).contains(low));
        if let Some((high, low)) = pair {
            let code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
            joined.extend(char::from_u32(code));
            rest = &from[12..];
        } else {
            // The escaped character goes along, so that `\\u…` is not taken for an escape.
            let length = from.chars().take(2).map(char::len_utf8).sum();
            joined.push_str(&from[..length]);
            rest = &from[length..];
        }
    }
    joined.push_str(rest);
    joined
}

struct Reader<'t> {
    source: &'t Arc<Source>,
    events: Parser<'t, StrInput<'t>>,
    /// Anchored nodes with the number of nodes in each.
    anchors: HashMap<usize, (Node, usize)>,
    nodes_left: usize,
}

impl<'t> Reader<'t> {
    fn new(source: &'t Arc<Source>, text: &'t str, nodes_left: usize) -> Self {
        Self { source, events: Parser::new_from_str(text), anchors: HashMap::new(), nodes_left }
    }

    fn span(&self, start: Marker, end: Marker) -> Span {
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        // A scalar over several lines is underlined to the end of its first one; the excerpt cuts it.
        Span {
            source: Arc::clone(self.source),
            line: narrow(start.line().max(1)),
            column: narrow(start.col() + 1),
            length: narrow(end.index().saturating_sub(start.index()).max(1)),
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Diagnostic> {
        match self.events.next_event() {
            Some(Ok((event, span))) => {
                let span = self.span(span.start, span.end);
                Ok((event, span))
            }
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Ok((Event::StreamEnd, Span::start_of(self.source))),
        }
    }

    fn syntax(&self, error: &ScanError) -> Diagnostic {
        let span = self.span(*error.marker(), *error.marker());
        Diagnostic::error(&span, format!("no valid YAML or JSON: {}", error.info()))
    }

    fn document(&mut self) -> Result<Node, Diagnostic> {
        let mut document = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
                _ if document.is_some() => {
                    return Err(Diagnostic::error(&span, "a second YAML document begins here")
                        .help("write one document per file, without `---` between documents"));
                }
                event => document = Some(self.node(event, span, 0)?),
            }
        }
        Ok(document.unwrap_or(Node { data: Data::Null, span: Span::start_of(self.source) }))
    }

    fn count(&mut self, nodes: usize, span: &Span) -> Result<(), Diagnostic> {
        let Some(left) = self.nodes_left.checked_sub(nodes) else {
            let message = format!("there are more than {YAML_NODES_MAX} values, aliases expanded");
            return Err(Diagnostic::error(span, message));
        };
        self.nodes_left = left;
        Ok(())
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Diagnostic> {
        if depth > DOCUMENT_DEPTH_MAX {
            let message = format!("the document is nested deeper than {DOCUMENT_DEPTH_MAX} levels");
            return Err(Diagnostic::error(&span, message));
        }
        let before = self.nodes_left;
        let (data, anchor) = match event {
            Event::Alias(anchor) => {
                // Counted before it is copied: aliases of aliases grow without bound.
                self.count(self.anchors.get(&anchor).map_or(0, |(_, size)| *size), &span)?;
                return match self.anchors.get(&anchor) {
                    Some((node, _)) => Ok(Node { data: node.data.clone(), span }),
                    None => Err(Diagnostic::error(&span, "an alias stands inside of what it refers to")),
                };
            }
            Event::Scalar(text, style, anchor, tag) => (scalar(&text, style, tag.as_deref(), &span)?, anchor),
            Event::SequenceStart(anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.map(depth)?, anchor),
            _ => return Err(Diagnostic::error(&span, "no valid YAML: a value is missing here")),
        };
        self.count(1, &span)?;
        let node = Node { data, span };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), before - self.nodes_left));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Data, Diagnostic> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Data::List(items));
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Data, Diagnostic> {
        let mut map = Map::new();
        let mut merged = Vec::new();
        loop {
            let (event, key_span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let is_plain = matches!(event, Event::Scalar(_, ScalarStyle::Plain, ..));
            let key = match event {
                Event::Scalar(text, ..) => text.into_owned(),
                Event::Alias(_) => match self.node(event, key_span.clone(), depth + 1)?.data {
                    Data::Text(text) => text,
                    _ => return Err(key_is_no_text(&key_span)),
                },
                _ => return Err(key_is_no_text(&key_span)),
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            if key == "<<" && is_plain {
                merged.push(value);
                continue;
            }
            if let Some(first) = map.get(&key) {
                let Member { key_span: first, .. } = first;
                let message = format!("the key '{key}' stands twice in one mapping");
                return Err(Diagnostic::error(&key_span, message)
                    .help(format!("it stands first at line {}, column {}; remove one", first.line, first.column)));
            }
            map.insert(key, Member { key_span, value });
        }
        for node in merged {
            merge(&mut map, node)?;
        }
        Ok(Data::Map(map))
    }
}

/// `<<: *other`: keys that stand in the mapping itself win, then the earlier of several merged ones.
fn merge(map: &mut Map, node: Node) -> Result<(), Diagnostic> {
    match node.data {
        Data::Map(other) => {
            for (key, member) in other {
                map.entry(key).or_insert(member);
            }
            Ok(())
        }
        Data::List(items) => items.into_iter().try_for_each(|item| merge(map, item)),
        _ => Err(Diagnostic::error(&node.span, "a merge key `<<` takes a mapping or a list of mappings")),
    }
}

fn key_is_no_text(span: &Span) -> Diagnostic {
    Diagnostic::error(span, "a key of a mapping must be a single word or string")
}

/// Resolves a scalar by the core schema.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, span: &Span) -> Result<Data, Diagnostic> {
    let core_tag = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
    let is_text = match core_tag {
        Some("str") => true,
        Some("int" | "float" | "bool" | "null") => false,
        _ => style != ScalarStyle::Plain || tag.is_some(),
    };
    if is_text {
        return Ok(Data::Text(text.to_owned()));
    }
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Data::Null,
        "true" | "True" | "TRUE" => Data::Bool(true),
        "false" | "False" | "FALSE" => Data::Bool(false),
        _ => match number(text) {
            Some(Number::Float(float)) if !float.is_finite() => {
                return Err(Diagnostic::error(span, format!("{text} is no number that CWL can hold"))
                    .help("write a finite number, or quotes around it if a string is meant"));
            }
            Some(number) => Data::Number(number),
            None => Data::Text(text.to_owned()),
        },
    })
}

/// A number of the core schema; infinite and NaN where the text says so or is beyond a double.
fn number(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => return Some(Number::Float(f64::INFINITY)),
        ".nan" | ".NaN" | ".NAN" if unsigned.len() == text.len() => return Some(Number::Float(f64::NAN)),
        _ => {}
    }
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
            return is_number.then(|| i64::from_str_radix(digits, radix).ok().map(Number::Int)).flatten();
        }
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if unsigned.chars().all(|c| c.is_ascii_digit()) {
        return Some(text.parse().map_or_else(|_| big(text, unsigned), Number::Int));
    }
    let mantissa = unsigned.split(['e', 'E']).next().unwrap_or("");
    let is_float = mantissa.chars().any(|c| c.is_ascii_digit())
        && unsigned.chars().all(|c| c.is_ascii_digit() || "eE+-.".contains(c));
    if !is_float {
        return None;
    }
    text.parse().ok().map(Number::Float)
}

/// Digits beyond 64 bits, without a plus sign and leading zeros.
fn big(text: &str, unsigned: &str) -> Number {
    let digits = unsigned.trim_start_matches('0');
    let sign = if text.starts_with('-') { "-" } else { "" };
    format!("{sign}{digits}").parse().map_or_else(|_| Number::Big(format!("{sign}{digits}")), Number::Int)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Value, String> {
        let source = Source::new("file:///p/a.yml", text.to_owned());
        parse(&source).map(|node| node.to_value()).map_err(|error| error.to_string())
    }

    fn one(text: &str) -> Value {
        read(text).unwrap()
    }

    fn int(number: i64) -> Value {
        Value::Number(Number::Int(number))
    }

    fn float(number: f64) -> Value {
        Value::Number(Number::Float(number))
    }

    fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    #[test]
    fn scalars_follow_the_core_schema_of_yaml_1_2() {
        for word in [
            "yes", "no", "on", "off", "y", "n", "1_000", "0b1", "1:30", "1.2.3", "v1.2", "+", ".", "e5", "0o8",
            "Infinity", "nan",
        ] {
            assert_eq!(one(word), text(word), "{word} is text");
        }
        for (word, number) in [("010", 10), ("0o17", 15), ("0x1F", 31), ("-7", -7), ("+7", 7), ("007", 7)] {
            assert_eq!(one(word), int(number), "{word}");
        }
        for (word, number) in
            [("1.23e5", 123_000.0), (".5", 0.5), ("5.", 5.0), ("-1e-05", -1e-5), ("1e3", 1000.0), ("+.5", 0.5)]
        {
            assert_eq!(one(word), float(number), "{word}");
        }
        for word in ["", "~", "null", "Null", "NULL", "!!null x"] {
            assert!(matches!(one(word), Value::Null | Value::String(_)), "{word}");
        }
        assert_eq!(
            (one("true"), one("FALSE"), one("'true'"), one("!!str true")),
            (Value::Bool(true), Value::Bool(false), text("true"), text("true"))
        );
        assert_eq!(
            one("1000000000000000000000000000000000000000000"),
            Value::Number(Number::Big(format!("1{}", "0".repeat(42))))
        );
        assert_eq!(one("-09223372036854775809"), Value::Number(Number::Big("-9223372036854775809".to_owned())));
        assert_eq!(one("9223372036854775807"), int(i64::MAX));
        assert!(read(".inf").unwrap_err().contains("no number that CWL can hold"));
        assert!(read("1e400").is_err() && read("-.INF").is_err() && read(".nan").is_err());
        assert_eq!(
            one("a: |\n  x\n  y\nb: |-\n  z\n"),
            Value::Record([("a".to_owned(), text("x\ny\n")), ("b".to_owned(), text("z"))].into())
        );
    }

    #[test]
    fn anchors_aliases_and_merge_keys_work_and_stay_bounded() {
        let merged = one("base: &b {x: 1, y: 2}\nother: {<<: *b, y: 3}\nlist: {<<: [*b, {z: 4}]}\n'<<': text");
        let Value::Record(members) = merged else { panic!() };
        assert_eq!(members["other"], Value::Record([("y".to_owned(), int(3)), ("x".to_owned(), int(1))].into()));
        assert_eq!(
            members["list"],
            Value::Record([("x".to_owned(), int(1)), ("y".to_owned(), int(2)), ("z".to_owned(), int(4))].into())
        );
        assert_eq!(members["<<"], text("text"));
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let inner = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&["a", &level.to_string(), ": &a", &level.to_string(), " [", &inner, "]\n"].concat());
        }
        assert!(read(&bomb).unwrap_err().contains("aliases expanded"));
        assert!(read("a: &a [*a]").is_err());
        assert!(read(&"[".repeat(100_000)).is_err());
        assert!(read(&"- ".repeat(100_000)).is_err());
        assert!(read("--- 1\n--- 2\n").unwrap_err().contains("second YAML document"));
    }

    #[test]
    fn json_is_read_with_tabs_and_surrogates() {
        let json = "{\n\t\"a\":\t\"x\\ty\\/\\ud83d\\ude00\\\\ud83d\",\n\t\"b\": [1, 2.5, true, null]\n}";
        let Value::Record(members) = one(json) else { panic!() };
        assert_eq!(members["a"], text("x\ty/\u{1F600}\\ud83d"));
        assert_eq!(members["b"], Value::Array(vec![int(1), float(2.5), Value::Bool(true), Value::Null]));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = read(&text);
        }

        #[test]
        fn any_text_of_yaml_signs_is_read_or_refused(text in "[-:?,\\[\\]{}#&*!|>'\"%@` \n\ta0.<e~]{0,60}") {
            let _ = read(&text);
        }

        #[test]
        fn strings_come_back_from_json(text in any::<String>()) {
            let escaped: String = text.chars().flat_map(|c| match c {
                '"' | '\\' => vec!['\\', c],
                c if u32::from(c) < 32 || (0x7F..0xA0).contains(&u32::from(c)) || c == '\u{feff}' || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}') => {
                    format!("\\u{:04x}", u32::from(c)).chars().collect()
                }
                c => vec![c],
            }).collect();
            prop_assert_eq!(read(&format!("[\"{escaped}\"]")), Ok(Value::Array(vec![Value::String(text)])));
        }
    }
}

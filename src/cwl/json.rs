//! JSON text, exact in its numbers: integers of any size survive, floats are read back equal.
//!
//! `serde_json` alone would turn 10^42 into a float. The three ways to write: [`compact`] for journals and scripts,
//! [`python`] with the separators of Python's `json.dumps` (what CWL tools compare with), [`pretty`] for people.

use std::fmt::Write;

use weir_api::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_DEPTH_MAX, DOCUMENT_NODES_MAX};

use crate::value::{Number, Record, Value};

/// A text that is no JSON, or exceeds a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct JsonError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong there, and what was expected.
    pub message: String,
}

/// Reads one JSON value of at most [`DOCUMENT_BYTES_MAX`] bytes (RFC 8259). Objects with `class` File or Directory stay
/// plain: see [`Value::recognise`]. Of equal names the last wins.
pub fn parse(text: &str) -> Result<Value, JsonError> {
    parse_within(text, DOCUMENT_BYTES_MAX)
}

/// Like [`parse`], with another limit on the bytes.
pub fn parse_within(text: &str, bytes_max: usize) -> Result<Value, JsonError> {
    let mut parser = Parser { text, at: 0, depth: 0, nodes: 0 };
    if text.len() > bytes_max {
        return Err(parser.error(format!("the text has {} bytes; the limit is {bytes_max}", text.len())));
    }
    // A byte order mark is not allowed in JSON, but editors write it.
    parser.at = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let value = parser.value()?;
    parser.space();
    match parser.peek() {
        None => Ok(value),
        Some(found) => Err(parser.error(format!("the value ends here, but `{found}` follows"))),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    nodes: usize,
}

impl Parser<'_> {
    fn error(&self, message: impl Into<String>) -> JsonError {
        let before = &self.text[..self.at];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        JsonError {
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: message.into(),
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn unexpected(&self, expected: &str) -> JsonError {
        match self.peek() {
            Some(found) => self.error(format!("expected {expected}, found `{}`", found.escape_debug())),
            None => self.error(format!("expected {expected}, but the text ends")),
        }
    }

    fn value(&mut self) -> Result<Value, JsonError> {
        self.space();
        self.nodes += 1;
        if self.nodes > DOCUMENT_NODES_MAX {
            return Err(self.error(format!("more than {DOCUMENT_NODES_MAX} values")));
        }
        match self.byte() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            _ => {
                for (word, value) in [("null", Value::Null), ("true", true.into()), ("false", false.into())] {
                    if self.text[self.at..].starts_with(word) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                Err(self.unexpected("a value"))
            }
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, JsonError>) -> Result<Value, JsonError> {
        if self.depth == DOCUMENT_DEPTH_MAX {
            return Err(self.error(format!("nested deeper than {DOCUMENT_DEPTH_MAX} levels")));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn array(&mut self) -> Result<Value, JsonError> {
        let mut items = Vec::new();
        self.space();
        if self.byte() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value()?);
            self.space();
            match self.byte() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                _ => return Err(self.unexpected("`,` or `]`")),
            }
        }
    }

    fn object(&mut self) -> Result<Value, JsonError> {
        let mut members = Record::new();
        self.space();
        if self.byte() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Record(members));
        }
        loop {
            self.space();
            if self.byte() != Some(b'"') {
                return Err(self.unexpected("a member's name in double quotes"));
            }
            let name = self.string()?;
            self.space();
            if self.byte() != Some(b':') {
                return Err(self.unexpected("`:`"));
            }
            self.at += 1;
            members.insert(name, self.value()?);
            self.space();
            match self.byte() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Record(members));
                }
                _ => return Err(self.unexpected("`,` or `}`")),
            }
        }
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !matches!(self.byte(), Some(b'0'..=b'9')) {
            return Err(self.unexpected("a digit"));
        }
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Number, JsonError> {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        let leading_zero = self.byte() == Some(b'0');
        let first = self.at;
        self.digits()?;
        if leading_zero && self.at > first + 1 {
            self.at = first;
            return Err(self.error("a number has no leading zeros"));
        }
        let mut is_integer = true;
        if self.byte() == Some(b'.') {
            is_integer = false;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            is_integer = false;
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let written = &self.text[start..self.at];
        if is_integer {
            return Ok(Number::integer(written));
        }
        written
            .parse()
            .ok()
            .and_then(Number::float)
            .ok_or_else(|| self.error(format!("`{written}` exceeds the range of a double")))
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut result = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(|c: char| c == '"' || c == '\\' || c < ' ').unwrap_or(rest.len());
            result.push_str(&rest[..plain]);
            self.at += plain;
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(result);
                }
                Some(b'\\') => {
                    self.at += 1;
                    result.push(self.escape()?);
                }
                Some(_) => return Err(self.error("a control character in a string must be written as \\uXXXX")),
                None => return Err(self.error("the text ends inside a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let Some(byte) = self.byte() else { return Err(self.error("the text ends inside a string")) };
        let plain = match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unicode_escape();
            }
            _ => return Err(self.unexpected("one of \" \\ / b f n r t u after a backslash")),
        };
        self.at += 1;
        Ok(plain)
    }

    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let first = self.hex4()?;
        let code = if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            let second = self.hex4()?;
            if !(0xdc00..0xe000).contains(&second) {
                return Err(self.error("the second half of a surrogate pair is missing"));
            }
            0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| self.error("half of a surrogate pair is no character"))
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).unwrap_or_default();
        let code = digits
            .iter()
            .try_fold(0, |code, byte| Some(code * 16 + char::from(*byte).to_digit(16)?))
            .filter(|_| digits.len() == 4)
            .ok_or_else(|| self.unexpected("four hexadecimal digits"))?;
        self.at += 4;
        Ok(code)
    }
}

/// Without any space.
pub fn compact(value: &Value) -> String {
    write(value, &Style { item: ",", member: ":", indent: None, sorted: false })
}

/// With `, ` and `: `, as Python's `json.dumps` writes it, members sorted by name; not-ASCII characters stay.
pub fn python(value: &Value) -> String {
    write(value, &Style { item: ", ", member: ": ", indent: None, sorted: true })
}

/// One member or item a line, indented by four spaces.
pub fn pretty(value: &Value) -> String {
    write(value, &Style { item: ",", member: ": ", indent: Some(4), sorted: false })
}

struct Style {
    item: &'static str,
    member: &'static str,
    indent: Option<usize>,
    sorted: bool,
}

fn write(value: &Value, style: &Style) -> String {
    let mut out = String::new();
    write_value(&mut out, value, style, 0);
    out
}

fn write_value(out: &mut String, value: &Value, style: &Style, depth: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            write_all(out, ('[', ']'), items.iter(), style, depth, |out, item| {
                write_value(out, item, style, depth + 1);
            });
        }
        Value::Record(record) => {
            let mut members: Vec<_> = record.iter().collect();
            if style.sorted {
                members.sort_by_key(|(name, _)| *name);
            }
            write_all(out, ('{', '}'), members.into_iter(), style, depth, |out, (name, member)| {
                write_string(out, name);
                out.push_str(style.member);
                write_value(out, member, style, depth + 1);
            });
        }
        Value::File(_) | Value::Directory(_) => write_value(out, &value.to_plain(), style, depth),
    }
}

fn write_all<T>(
    out: &mut String,
    (open, close): (char, char),
    items: impl ExactSizeIterator<Item = T>,
    style: &Style,
    depth: usize,
    mut each: impl FnMut(&mut String, T),
) {
    let is_empty = items.len() == 0;
    let line = |out: &mut String, depth: usize| {
        if let Some(indent) = style.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    };
    out.push(open);
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push_str(style.item);
        }
        line(out, depth + 1);
        each(out, item);
    }
    if !is_empty {
        line(out, depth);
    }
    out.push(close);
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            // U+2028 and U+2029 end a line in JavaScript before ES2019, where this text is pasted as a literal.
            control if control < ' ' || matches!(control, '\u{7f}' | '\u{2028}' | '\u{2029}') => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_beyond_64_bits_survive() {
        let big = "1000000000000000000000000000000000000000000";
        let value = parse(&format!("[{big}, -9223372036854775808, 1e42, -0]")).unwrap();
        assert_eq!(python(&value), format!("[{big}, -9223372036854775808, 1e+42, 0]"));
        let through_serde: Value = serde_json::from_str(&serde_json::to_string(&value).unwrap()).unwrap();
        assert_eq!(through_serde, value);
    }

    #[test]
    fn floats_are_written_as_python_writes_them() {
        let value = parse("[1.0, 0.00001, 1.5e-7, 123000.0, 1e16, 1e15, 0.0001, 2.5]").unwrap();
        assert_eq!(python(&value), "[1.0, 1e-05, 1.5e-07, 123000.0, 1e+16, 1000000000000000.0, 0.0001, 2.5]");
    }

    #[test]
    fn errors_name_line_and_column() {
        let error = |text: &str| parse(text).unwrap_err().to_string();
        insta::assert_snapshot!(error("{\n  \"a\": 1\n  \"b\": 2}"), @r#"3:3: expected `,` or `}`, found `\"`"#);
        insta::assert_snapshot!(error("[01]"), @"1:2: a number has no leading zeros");
        insta::assert_snapshot!(error("[1e999]"), @"1:7: `1e999` exceeds the range of a double");
        insta::assert_snapshot!(error("{} x"), @"1:4: the value ends here, but `x` follows");
        insta::assert_snapshot!(error(&"[".repeat(1000)), @"1:129: nested deeper than 128 levels");
        insta::assert_snapshot!(error(r#"["\ud800"]"#), @"1:9: half of a surrogate pair is no character");
    }

    #[test]
    fn pretty_puts_one_member_on_a_line() {
        let value = parse(r#"{"b":[1,{}],"a":[]}"#).unwrap();
        insta::assert_snapshot!(pretty(&value), @r#"
        {
            "b": [
                1,
                {}
            ],
            "a": []
        }
        "#);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "-?[1-9][0-9]{19,40}".prop_map(|digits| Value::from(Number::integer(&digits))),
            prop::num::f64::NORMAL.prop_map(|value| Value::from(Number::Float(value))),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                prop::collection::hash_map(".{0,5}", inner, 0..5)
                    .prop_map(|members| Value::Record(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_equal(value in any_value()) {
            for text in [compact(&value), python(&value), pretty(&value)] {
                prop_assert_eq!(&parse(&text).unwrap(), &value);
            }
        }

        #[test]
        fn any_text_parses_or_is_refused(text in r#"[\[\]{}",:0-9a-fnrtul.eE\\ +-]{0,40}"#) {
            let _ = parse(&text);
        }
    }
}

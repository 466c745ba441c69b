//! From text to [`Template`] (CWL v1.2 Command Line Tool Description, §3.4 "Parameter references" and "String
//! interpolation").

use super::{Accessor, Part, Reference, Root, Script, ScriptKind, Template, TemplateError};
use crate::document::CwlVersion;

impl Template {
    /// Parses a string by the rules of `version`.
    ///
    /// Escapes (`\$(`, `\${`, `\\`) exist from v1.2 on and only in texts that hold `$(` or `${` at all: the specification
    /// gives them to string interpolation, so that `C:\\data` stays what it is.
    pub fn parse(source: &str, version: CwlVersion) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        if source.contains("$(") || source.contains("${") {
            let mut text = String::new();
            let mut rest = source;
            while let Some(first) = rest.chars().next() {
                let escape = match (version >= CwlVersion::V1_2).then(|| escape(rest)).flatten() {
                    Some(escape) => Some(escape),
                    None if rest.starts_with("$(") || rest.starts_with("${") => {
                        let end = block_end(rest).ok_or_else(|| unfinished(source, source.len() - rest.len()))?;
                        if !text.is_empty() {
                            parts.push(Part::Text(std::mem::take(&mut text)));
                        }
                        parts.push(expression(&rest[..end]));
                        rest = &rest[end..];
                        continue;
                    }
                    None => None,
                };
                let (replacement, consumed) = escape.unwrap_or((&rest[..first.len_utf8()], first.len_utf8()));
                text.push_str(replacement);
                rest = &rest[consumed..];
            }
            if !text.is_empty() {
                parts.push(Part::Text(text));
            }
        } else {
            parts.push(Part::Text(source.to_owned()));
        }
        Ok(Self { source: source.to_owned(), parts })
    }
}

/// The replacement for the escape at the start of `text`, and its length in bytes. A backslash before anything else
/// stands for itself.
fn escape(text: &str) -> Option<(&'static str, usize)> {
    [("\\$(", "$("), ("\\${", "${"), ("\\\\", "\\")]
        .into_iter()
        .find(|(written, _)| text.starts_with(written))
        .map(|(written, meant)| (meant, written.len()))
}

fn unfinished(source: &str, at: usize) -> TemplateError {
    let before = &source[..at];
    let line = before.matches('\n').count() + 1;
    let open = &source[at..at + 2];
    let close = if open == "$(" { ')' } else { '}' };
    let shown: String = source[at..].lines().next().unwrap_or_default().chars().take(60).collect();
    let place = if line > 1 { format!(" in line {line} of the text") } else { String::new() };
    TemplateError(format!(
        "`{open}` without its `{close}`{place}: `{shown}`; plain text is written `\\{open}` (from CWL v1.2 on)"
    ))
}

/// Where the `$(…)` or `${…}` at the start of `text` ends. Brackets of its own kind nest; quotes hide them.
fn block_end(text: &str) -> Option<usize> {
    let (open, close) = if text.starts_with("$(") { (b'(', b')') } else { (b'{', b'}') };
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut quote = None;
    let mut at = 1;
    while at < bytes.len() {
        let byte = bytes[at];
        match quote {
            Some(_) if byte == b'\\' => at += 1,
            Some(end) if byte == end => quote = None,
            None if byte == b'"' || byte == b'\'' => quote = Some(byte),
            None if byte == open => depth += 1,
            None if byte == close => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            Some(_) | None => {}
        }
        at += 1;
    }
    None
}

/// The part that `$(…)` or `${…}` stands for.
fn expression(block: &str) -> Part {
    let inner = &block[2..block.len() - 1];
    if block.starts_with("${") {
        return Part::Script(Script { kind: ScriptKind::Body, source: inner.to_owned() });
    }
    match reference(inner) {
        Some(reference) => Part::Reference(reference),
        None => Part::Script(Script { kind: ScriptKind::Expression, source: inner.to_owned() }),
    }
}

/// Whether a name may follow a dot: letters, digits and underscores.
pub(super) fn is_symbol(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_symbol_char)
}

fn is_symbol_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn symbol(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c| !is_symbol_char(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// Parses a parameter reference; `None` if the text is none by the strict grammar.
fn reference(text: &str) -> Option<Reference> {
    let (root, mut rest) = symbol(text)?;
    let root = match root {
        "inputs" => Root::Inputs,
        "self" => Root::Self_,
        "runtime" => Root::Runtime,
        // `null` must be the only symbol.
        "null" if rest.is_empty() => Root::Null,
        _ => return None,
    };
    let mut path = Vec::new();
    while !rest.is_empty() {
        let (accessor, after) = segment(rest)?;
        path.push(accessor);
        rest = after;
    }
    Some(Reference { root, path })
}

fn segment(text: &str) -> Option<(Accessor, &str)> {
    if let Some(after) = text.strip_prefix('.') {
        let (name, rest) = symbol(after)?;
        return Some((Accessor::Member(name.to_owned()), rest));
    }
    let inner = text.strip_prefix('[')?;
    if let Some(quote @ ('"' | '\'')) = inner.chars().next() {
        return quoted(&inner[1..], quote);
    }
    let (digits, rest) = inner.split_once(']')?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((Accessor::Index(digits.parse().ok()?), rest))
}

/// The rest of `['name']` after the opening quote. `\'`, `\"` and `\\` stand for the second character.
fn quoted(text: &str, quote: char) -> Option<(Accessor, &str)> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                (_, escaped @ ('\\' | '\'' | '"')) => name.push(escaped),
                _ => return None,
            },
            _ if c == quote => {
                let rest = text[at + 1..].strip_prefix(']')?;
                return Some((Accessor::Member(name), rest));
            }
            _ => name.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(source: &str) -> Vec<String> {
        let template = Template::parse(source, CwlVersion::V1_2).unwrap();
        let shown = |part: &Part| match part {
            Part::Text(text) => format!("text {text}"),
            Part::Reference(reference) => format!("reference {reference}"),
            Part::Script(script) => format!("{:?} {}", script.kind, script.source),
        };
        template.parts.iter().map(shown).collect()
    }

    #[test]
    fn references_follow_the_strict_grammar() {
        assert_eq!(parts("$(inputs.a['b c'][\"d\\'\"][3])"), ["reference inputs.a[\"b c\"][\"d'\"][3]"]);
        assert_eq!(parts("$(null)"), ["reference null"]);
        for script in ["$(null.a)", "$( inputs.a)", "$(inputs.a-b)", "$(inputs.a[b])", "$(inputs.)", "$(other)", "$()"]
        {
            assert!(parts(script)[0].starts_with("Expression"), "{script}");
        }
    }

    #[test]
    fn text_around_expressions_is_kept_in_order() {
        assert_eq!(
            parts("a $(inputs.x)-${return {a: '}'};} z"),
            ["text a ", "reference inputs.x", "text -", "Body return {a: '}'};", "text  z"]
        );
        assert_eq!(parts("$$(self)$"), ["text $", "reference self", "text $"]);
    }

    #[test]
    fn quotes_hide_brackets_and_nesting_is_balanced() {
        assert_eq!(parts("$(f(')', (1)))")[0], "Expression f(')', (1))");
        assert_eq!(parts("$('it\\'s )')")[0], "Expression 'it\\'s )'");
    }

    #[test]
    fn backslashes_escape_from_v1_2_on_and_only_beside_expressions() {
        assert_eq!(parts(r"\$(echo) \${x} \\ \n"), [r"text $(echo) ${x} \ \n"]);
        assert_eq!(parts(r"\\$(self)"), [r"text \", "reference self"]);
        assert_eq!(parts(r"\\\$(self)"), [r"text \$(self)"]);
        assert_eq!(parts(r"C:\\data \$"), [r"text C:\\data \$"]);
        let old = Template::parse(r"\$(self)", CwlVersion::V1_0).unwrap();
        assert_eq!(old.parts.len(), 2);
    }

    #[test]
    fn an_unfinished_expression_is_an_error_that_quotes_it() {
        let error = Template::parse("first\nsum=$(1 + (2)", CwlVersion::V1_2).unwrap_err();
        insta::assert_snapshot!(error, @"`$(` without its `)` in line 2 of the text: `$(1 + (2)`; plain text is written `\\$(` (from CWL v1.2 on)");
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused(text in r#"[a-z$(){}\\'"\[\].]{0,40}"#) {
            let _ = Template::parse(&text, CwlVersion::V1_2);
            if let Ok(template) = Template::parse(&text, CwlVersion::V1_0) {
                let rebuilt: String = template.parts.iter().map(|part| match part {
                    Part::Text(text) => text.clone(),
                    Part::Reference(_) => String::new(),
                    Part::Script(Script { kind: ScriptKind::Expression, source }) => format!("$({source})"),
                    Part::Script(Script { kind: ScriptKind::Body, source }) => format!("${{{source}}}"),
                }).collect();
                if !template.parts.iter().any(|part| matches!(part, Part::Reference(_))) {
                    prop_assert_eq!(rebuilt, text);
                }
            }
        }

        #[test]
        fn a_reference_reads_back_what_it_shows(names in prop::collection::vec("[a-z_]{1,5}|[a-z '\"\\\\]{1,5}", 0..4)) {
            let path = names.into_iter().map(Accessor::Member).collect();
            let reference = Reference { root: Root::Inputs, path };
            let text = format!("$({reference})");
            let template = Template::parse(&text, CwlVersion::V1_2).unwrap();
            prop_assert_eq!(template.parts, vec![Part::Reference(reference)]);
        }
    }
}

//! One evaluation in a fresh `QuickJS` runtime. Runs in the worker process only.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use rquickjs::context::{EvalOptions, intrinsic};
use rquickjs::{Context, Ctx, Object, Runtime, Type, Value};

use crate::error::{Part, Place};
use crate::frame::{Reply, Task};
use crate::{Kind, ScriptError, limits};

/// What the language brings along, and nothing of a host: no modules, no I/O, no timers.
type Language = (
    intrinsic::Date,
    intrinsic::Eval,
    intrinsic::RegExpCompiler,
    intrinsic::RegExp,
    intrinsic::Json,
    intrinsic::Proxy,
    intrinsic::MapSet,
    intrinsic::TypedArrays,
    intrinsic::Promise,
    intrinsic::WeakRef,
);

/// The file name under which the source appears in the engine's call stacks.
const SOURCE: &str = "expression";
/// The same for `expressionLib`; the index and `]` follow.
const LIBRARY: &str = "expressionLib[";
/// Lines of our own before the author's first line.
const LINES_BEFORE_SOURCE: u32 = 1;
/// Heap that describing a failure may use beyond the limit that was hit.
const HEAP_FOR_DESCRIPTION: usize = 4 << 20;

/// Evaluates one task, with nothing left behind for the next.
pub(crate) fn evaluate(task: &Task) -> Reply {
    let limit = task.time_limit.min(limits::LONGEST_EVALUATION);
    let deadline = Instant::now() + limit;
    let late = Rc::new(Cell::new(false));

    let runtime = Runtime::new().map_err(|_| ScriptError::MemoryLimit)?;
    runtime.set_memory_limit(limits::HEAP_BYTES);
    runtime.set_max_stack_size(limits::STACK_BYTES);
    runtime.set_interrupt_handler(Some(Box::new({
        let late = Rc::clone(&late);
        move || {
            late.set(late.get() || Instant::now() >= deadline);
            late.get()
        }
    })));
    let context = Context::custom::<Language>(&runtime).map_err(|_| ScriptError::MemoryLimit)?;
    let outcome = match context.with(|ctx| run(&ctx, task)) {
        Ok(json) => return Ok(json),
        Err(Fault::Known(error)) => error,
        Err(Fault::Engine(error)) => {
            runtime.set_memory_limit(limits::HEAP_BYTES + HEAP_FOR_DESCRIPTION);
            context.with(|ctx| describe(&ctx, &error, task))
        }
    };
    // Whatever else is said, an interrupted evaluation was late; also when it was described.
    Err(if late.get() { ScriptError::TimeLimit { limit } } else { outcome })
}

/// A failure before the engine was asked what it means.
enum Fault {
    Engine(rquickjs::Error),
    Known(ScriptError),
}

impl From<rquickjs::Error> for Fault {
    fn from(error: rquickjs::Error) -> Self {
        Self::Engine(error)
    }
}

fn run(ctx: &Ctx<'_>, task: &Task) -> Result<String, Fault> {
    let variables = [("inputs", &task.inputs), ("self", &task.self_), ("runtime", &task.runtime)];
    // While the library is evaluated the variables exist without a value; what it assigns to
    // them does not last.
    for (name, _) in variables {
        ctx.globals().set(name, rquickjs::Undefined)?;
    }
    for (index, text) in task.library.iter().enumerate() {
        let _: Value = eval(ctx, text.as_str(), format!("{LIBRARY}{index}]"))?;
    }
    for (name, json) in variables {
        ctx.globals().set(name, variable(ctx, name, json)?)?;
    }
    let value: Value = eval(ctx, wrap(task.kind, &task.source), SOURCE.to_owned())?;
    stringify(ctx, value)
}

fn eval<'js>(ctx: &Ctx<'js>, source: impl Into<Vec<u8>>, name: String) -> rquickjs::Result<Value<'js>> {
    let mut options = EvalOptions::default();
    options.global = true;
    // The library may be sloppy, as it could be in a script of its own; the source never is.
    options.strict = false;
    options.filename = Some(name);
    ctx.eval_with_options(source, options)
}

/// The author's text starts and ends on lines of its own: a comment at its end hides nothing of
/// ours, and columns are the author's.
fn wrap(kind: Kind, source: &str) -> String {
    match kind {
        Kind::Expression => format!("(function(){{\"use strict\"; return (\n{source}\n);}})()"),
        Kind::Body => format!("(function(){{\"use strict\";\n{source}\n}})()"),
    }
}

fn variable<'js>(ctx: &Ctx<'js>, name: &str, json: &str) -> Result<Value<'js>, Fault> {
    ctx.json_parse(json).map_err(|error| {
        let thrown = ctx.catch();
        match Thrown::of(&thrown) {
            Some(thrown) if thrown.name == "SyntaxError" => {
                Fault::Known(ScriptError::Variable { variable: name.to_owned(), message: thrown.message })
            }
            _ => {
                ctx.throw(thrown);
                Fault::Engine(error)
            }
        }
    })
}

fn stringify<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<String, Fault> {
    let not_json = |what: &str| Fault::Known(ScriptError::NotJson { what: what.to_owned() });
    match value.type_of() {
        Type::Undefined => return Ok("null".to_owned()),
        Type::Function | Type::Constructor => return Err(not_json("a function")),
        Type::Symbol => return Err(not_json("a symbol")),
        Type::BigInt => return Err(not_json("a BigInt")),
        Type::Promise => return Err(not_json("a Promise")),
        _ => {}
    }
    match ctx.json_stringify(value) {
        Ok(Some(text)) => {
            let text = text.to_string()?;
            if text.len() > limits::RESULT_BYTES {
                return Err(Fault::Known(ScriptError::ResultTooLarge { bytes: text.len() }));
            }
            Ok(text)
        }
        // A `toJSON` that returns nothing.
        Ok(None) => Ok("null".to_owned()),
        Err(error) => {
            let thrown = ctx.catch();
            match Thrown::of(&thrown) {
                Some(thrown) if thrown.message == "circular reference" => Err(not_json("a value that contains itself")),
                _ => {
                    ctx.throw(thrown);
                    Err(Fault::Engine(error))
                }
            }
        }
    }
}

/// Words for the pending exception.
fn describe(ctx: &Ctx<'_>, error: &rquickjs::Error, task: &Task) -> ScriptError {
    if !matches!(error, rquickjs::Error::Exception) {
        // Not an exception: a text that the engine cannot take, such as one with a NUL.
        return ScriptError::Syntax { message: shorten(&error.to_string()), place: None };
    }
    let value = ctx.catch();
    let Some(thrown) = Thrown::of(&value) else {
        let json = ctx.json_stringify(value).ok().flatten().and_then(|json| json.to_string().ok());
        let message = json.unwrap_or_else(|| "a value without JSON form".to_owned());
        return ScriptError::Exception { message: format!("uncaught exception: {}", shorten(&message)), place: None };
    };
    match (thrown.name.as_str(), thrown.message.as_str()) {
        ("InternalError", "out of memory") => ScriptError::MemoryLimit,
        ("RangeError", "Maximum call stack size exceeded") => ScriptError::StackOverflow,
        ("SyntaxError", message) => ScriptError::Syntax {
            message: format!("SyntaxError: {}", shorten(message)),
            place: place(&thrown.stack, task),
        },
        (name, message) => ScriptError::Exception {
            message: shorten(&format!("{name}: {message}")),
            place: place(&thrown.stack, task),
        },
    }
}

/// What an `Error` object says of itself.
struct Thrown {
    name: String,
    message: String,
    stack: String,
}

impl Thrown {
    /// None if the value is not an error (anything can be thrown).
    fn of(value: &Value<'_>) -> Option<Self> {
        let object = value.as_exception()?.as_object();
        let text = |object: &Object<'_>, key: &str| object.get::<_, String>(key).unwrap_or_default();
        Some(Self { name: text(object, "name"), message: text(object, "message"), stack: text(object, "stack") })
    }
}

/// The innermost entry of a call stack that lies in the author's texts.
///
/// Entries read `    at name (file:line:column)` or `    at file:line:column`.
fn place(stack: &str, task: &Task) -> Option<Place> {
    stack.lines().find_map(|entry| {
        let entry = entry.trim().trim_end_matches(')');
        let location = entry.rsplit([' ', '(']).next()?;
        let mut fields = location.rsplitn(3, ':');
        let column: u32 = fields.next()?.parse().ok()?;
        let line: u32 = fields.next()?.parse().ok()?;
        let file = fields.next()?;
        if file == SOURCE {
            // What is missing at the end is noticed in our closing line.
            let last = u32::try_from(task.source.lines().count()).unwrap_or(u32::MAX).max(1);
            let line = line.checked_sub(LINES_BEFORE_SOURCE)?.clamp(1, last);
            return Some(Place { part: Part::Source, line, column });
        }
        let index = file.strip_prefix(LIBRARY)?.strip_suffix(']')?.parse().ok()?;
        Some(Place { part: Part::Library(index), line, column })
    })
}

fn shorten(message: &str) -> String {
    match message.char_indices().nth(limits::MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn task(kind: Kind, source: &str, inputs: &str) -> Task {
        Task {
            library: Vec::new(),
            kind,
            source: source.to_owned(),
            inputs: inputs.to_owned(),
            self_: "null".to_owned(),
            runtime: "null".to_owned(),
            time_limit: Duration::from_secs(20),
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            (-(1_i64 << 53)..=1 << 53).prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
                // JavaScript puts keys that look like indices first, so order is not compared.
                prop::collection::btree_map(".*", inner, 0..8)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn json_comes_back_unchanged(value in json()) {
            let back = evaluate(&task(Kind::Expression, "inputs", &value.to_string()));
            let back: serde_json::Value = serde_json::from_str(&back.unwrap()).unwrap();
            prop_assert_eq!(back, value);
        }

        #[test]
        fn any_source_has_a_value_or_an_error(source in "\\PC{0,40}|[a-z(){}\\[\\]'\"`;=+./\\\\ \n]{0,30}") {
            for kind in [Kind::Expression, Kind::Body] {
                let mut task = task(kind, &source, "null");
                task.time_limit = Duration::from_millis(100);
                if let Ok(text) = evaluate(&task) {
                    prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
                }
            }
        }

        #[test]
        fn any_call_stack_is_read(stack in "( at |f|\\(|expression|Lib\\[|[0-9]|\\]|:|\\)|\n){0,20}") {
            place(&stack, &task(Kind::Body, "", "null"));
        }
    }

    #[test]
    fn a_place_is_the_innermost_one_in_the_authors_texts() {
        let stack =
            "    at parse (native)\n    at <anonymous> (expressionLib[12]:3:4)\n    at <eval> (expression:2:1)\n";
        let task = task(Kind::Expression, "f()", "null");
        let expected = Place { part: Part::Library(12), line: 3, column: 4 };
        assert_eq!(place(stack, &task), Some(expected));
        let expected = Place { part: Part::Source, line: 1, column: 1 };
        assert_eq!(place("    at expression:2:1", &task), Some(expected));
        assert_eq!(place("    at f (native)\n", &task), None);
    }

    #[test]
    fn a_nul_in_the_source_is_an_error() {
        let result = evaluate(&task(Kind::Expression, "'a\0b'", "null"));
        assert!(matches!(result, Err(ScriptError::Syntax { .. })), "{result:?}");
    }
}

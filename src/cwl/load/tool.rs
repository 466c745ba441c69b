//! `class: CommandLineTool` (CWL v1.2 Command Line Tool Description, §5).

use super::process::Opened;
use super::schema::ParameterType;
use super::{Loader, Scope};
use crate::diagnostic::Diagnostic;
use crate::document::CommandLineTool;
use crate::expression::Template;
use crate::schema::{CommandLineBinding, OutputBinding, OutputParameter};
use crate::value::Number;
use crate::yaml::{Data, Node};

impl Loader<'_> {
    pub(super) fn command_line_tool(&mut self, opened: Opened<'_>) -> Option<CommandLineTool> {
        let Opened { mut fields, scope, header, stdin: stdin_input } = opened;
        let base_command = fields.get("baseCommand").and_then(|node| self.strings(node, "baseCommand"));
        let arguments = fields.get("arguments").and_then(|node| self.arguments(node, &scope)).unwrap_or_default();
        let stdin_node = fields.get("stdin");
        let mut stdin = self.text_template(stdin_node, "stdin", &scope);
        let mut stdout = self.text_template(fields.get("stdout"), "stdout", &scope);
        let mut stderr = self.text_template(fields.get("stderr"), "stderr", &scope);
        if let Some(input) = stdin_input {
            if let Some(node) = stdin_node {
                self.error(&node.span, format!("stdin is stated twice: here and by the type of the input '{input}'"));
            }
            let quoted = input.replace('\\', "\\\\").replace('"', "\\\"");
            let reference = format!("$(inputs[\"{quoted}\"].path)");
            stdin = Template::parse(&reference, scope.version).ok();
        }
        let outputs = self.outputs_node(&mut fields);
        let outputs = outputs.and_then(|node| self.tool_outputs(node, &scope, &header.id, &mut stdout, &mut stderr));
        let mut codes = |loader: &mut Self, key| match fields.get(key) {
            Some(node) => loader.exit_codes(node, key),
            None => Vec::new(),
        };
        let mut success_codes = codes(self, "successCodes");
        let temporary_fail_codes = codes(self, "temporaryFailCodes");
        let permanent_fail_codes = codes(self, "permanentFailCodes");
        if success_codes.is_empty() {
            success_codes.push(0);
        }
        let header = self.closed(fields, header);
        Some(CommandLineTool {
            header,
            outputs: outputs?,
            base_command: base_command.unwrap_or_default().into_iter().map(|(text, _)| text).collect(),
            arguments,
            stdin,
            stdout,
            stderr,
            success_codes,
            temporary_fail_codes,
            permanent_fail_codes,
        })
    }

    fn arguments(&mut self, node: &Node, scope: &Scope) -> Option<Vec<CommandLineBinding>> {
        let Some(list) = node.as_list() else {
            self.report(
                Diagnostic::error(&node.span, format!("arguments must be a list, not {}", node.kind()))
                    .help("write one list entry per argument"),
            );
            return None;
        };
        let bindings: Vec<_> = list
            .iter()
            .map(|node| match &node.data {
                Data::Map(_) => self.input_binding(node, scope),
                _ => {
                    let value_from = Some(self.text_template(Some(node), "an argument", scope)?);
                    Some(CommandLineBinding { value_from, ..CommandLineBinding::default() })
                }
            })
            .collect();
        bindings.into_iter().collect()
    }

    fn exit_codes(&mut self, node: &Node, key: &str) -> Vec<i32> {
        let nodes = node.as_list().unwrap_or(std::slice::from_ref(node));
        let mut codes = Vec::with_capacity(nodes.len());
        for node in nodes {
            match &node.data {
                Data::Number(Number::Int(code)) if i32::try_from(*code).is_ok() => {
                    codes.extend(i32::try_from(*code));
                }
                _ => self.error(&node.span, format!("{key} must be exit codes, not {}", node.kind())),
            }
        }
        codes
    }

    /// Outputs of a tool. The types `stdout` and `stderr` become a File that is found by the stream's name, which is
    /// made up where the tool states none.
    fn tool_outputs(
        &mut self,
        node: &Node,
        scope: &Scope,
        tool: &str,
        stdout: &mut Option<Template>,
        stderr: &mut Option<Template>,
    ) -> Option<Vec<OutputParameter>> {
        let items = self.items(node, "outputs", "id")?;
        self.unique(&items, "outputs");
        let mut outputs = Vec::with_capacity(items.len());
        let mut complete = true;
        for item in &items {
            let Some((mut output, written)) = self.output(item, scope) else {
                complete = false;
                continue;
            };
            let stream = match written {
                ParameterType::Stdout => Some((&mut *stdout, "stdout")),
                ParameterType::Stderr => Some((&mut *stderr, "stderr")),
                _ => None,
            };
            if let Some((stream, extension)) = stream {
                if output.output_binding.is_some() {
                    let message = format!("an output of type '{extension}' has no outputBinding of its own");
                    self.report(
                        Diagnostic::error(item.span, message)
                            .help(format!("write `type: File` with `glob`, and `{extension}: <name>` at the tool")),
                    );
                }
                if stream.is_none() {
                    *stream = Template::parse(&stream_name(tool, extension), scope.version).ok();
                }
                output.file.streamable = true;
                output.output_binding =
                    Some(OutputBinding { glob: stream.clone().into_iter().collect(), ..OutputBinding::default() });
            }
            outputs.push(output);
        }
        complete.then_some(outputs)
    }
}

/// The file that a stream goes to where the tool names none: stable, so that a run can be repeated.
fn stream_name(tool: &str, extension: &str) -> String {
    let plain = tool.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' });
    format!("{}.{extension}", plain.collect::<String>().trim_start_matches('.'))
}

//! Which process of a document is meant (20-044, `/req/cwl/deploy-w-param`).

use std::sync::Arc;

use weir_cwl::Diagnostic;
use weir_cwl::source::Source;
use weir_cwl::uri::split_fragment;
use weir_cwl::yaml::{self, Node};

use crate::problem::Problem;

/// The processes of a document, as far as they stand in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    id: Option<String>,
    is_workflow: bool,
}

impl Listed {
    /// Of a text that may be no CWL at all.
    pub fn of(source: &Arc<Source>) -> Result<Self, Diagnostic> {
        let root = yaml::parse(source)?;
        if root.as_map().is_none() {
            let diagnostic = Diagnostic::error(&root.span, "this is no CWL document: it has no members");
            let help = "write `cwlVersion: v1.2` and so on, a line each; curl sends lines as they are by --data-binary @FILE, \
                        while -d @FILE makes one line of all";
            return Err(diagnostic.help(help));
        }
        Ok(Self(match root.get("$graph").and_then(Node::as_list) {
            Some(members) => members.iter().map(Entry::of).collect(),
            None => vec![Entry::of(&root)],
        }))
    }

    /// The id of the process to run; `None`: the only one, which has no id. `wanted` is what `w=` says.
    ///
    /// Without it the first Workflow in the order of the document is meant, else the only process. `_` and `-` are taken
    /// for each other where only that is missing.
    pub fn choose(&self, wanted: Option<&str>) -> Result<Option<&str>, Problem> {
        match wanted {
            Some(wanted) => {
                let found = self.find(wanted);
                found.map(Some).ok_or_else(|| Problem::workflow_not_found(wanted, &self.ids()))
            }
            None => self.default(),
        }
    }

    /// The id in the document that a name means.
    pub fn find(&self, name: &str) -> Option<&str> {
        let name = name.strip_prefix('#').unwrap_or(name);
        let alike = |text: &str| text.replace('_', "-");
        let ids = self.ids();
        let same = ids.iter().find(|id| **id == name);
        same.or_else(|| ids.iter().find(|id| alike(id) == alike(name))).copied()
    }

    fn default(&self) -> Result<Option<&str>, Problem> {
        let first = self.0.iter().find(|entry| entry.is_workflow);
        match (first, self.0.as_slice()) {
            (Some(entry), _) | (None, [entry]) => Ok(entry.id.as_deref()),
            _ => {
                let what =
                    format_args!("the package holds no Workflow, and several processes: {}", self.ids().join(", "));
                Err(Problem::invalid_parameter("", what, "send one with a Workflow, or name the process by ?w="))
            }
        }
    }

    fn ids(&self) -> Vec<&str> {
        self.0.iter().filter_map(|entry| entry.id.as_deref()).collect()
    }
}

impl Entry {
    fn of(node: &Node) -> Self {
        let id = node.get("id").and_then(Node::as_text).map(|id| split_fragment(id).1.unwrap_or(id).to_owned());
        Self { id, is_workflow: node.get("class").and_then(Node::as_text) == Some("Workflow") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRAPH: &str = "$graph:\n- {class: CommandLineTool, id: crop}\n- {class: Workflow, id: '#water-bodies'}\n\
        - {class: Workflow, id: detect_water_body}\n";

    fn choose(text: &str, wanted: Option<&str>) -> Result<Option<String>, String> {
        let listed = Listed::of(&Source::new("weir:package.cwl", text.to_owned())).unwrap();
        listed.choose(wanted).map(|id| id.map(str::to_owned)).map_err(|problem| problem.detail)
    }

    #[test]
    fn the_first_workflow_in_document_order_is_meant() {
        assert_eq!(choose(GRAPH, None).unwrap().as_deref(), Some("water-bodies"));
    }

    #[test]
    fn a_document_without_workflow_has_one_process() {
        assert_eq!(choose("class: CommandLineTool\nid: crop\n", None).unwrap().as_deref(), Some("crop"));
        assert_eq!(choose("class: CommandLineTool\n", None).unwrap(), None);
        let two = "$graph: [{class: CommandLineTool, id: a}, {class: CommandLineTool, id: b}]";
        insta::assert_snapshot!(choose(two, None).unwrap_err(), @"the body: the package holds no Workflow, and several processes: a, b; send one with a Workflow, or name the process by ?w=");
        assert_eq!(choose(two, Some("b")).unwrap().as_deref(), Some("b"));
    }

    #[test]
    fn w_names_a_process_and_underscores_stand_for_hyphens() {
        assert_eq!(choose(GRAPH, Some("detect_water_body")).unwrap().as_deref(), Some("detect_water_body"));
        assert_eq!(choose(GRAPH, Some("#water-bodies")).unwrap().as_deref(), Some("water-bodies"));
        assert_eq!(choose(GRAPH, Some("water_bodies")).unwrap().as_deref(), Some("water-bodies"));
        insta::assert_snapshot!(choose(GRAPH, Some("fire")).unwrap_err(), @"the package has no workflow `fire`; it has: crop, water-bodies, detect_water_body");
    }
}

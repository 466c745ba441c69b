//! Kinships of file formats, from the ontologies that `$schemas` names (CWL v1.2, "format" of a File).

use std::collections::{BTreeMap, BTreeSet};

use oxrdf::{NamedOrBlankNode, Term, Triple};

const SUB_CLASS_OF: &str = "http://www.w3.org/2000/01/rdf-schema#subClassOf";
const EQUIVALENT_CLASS: &str = "http://www.w3.org/2002/07/owl#equivalentClass";

/// What is a kind of what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ontology {
    /// Classes by IRI, with the classes that they are a kind of. Equivalent classes are a kind of each other.
    broader: BTreeMap<String, BTreeSet<String>>,
}

/// An ontology that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the ontology {url} cannot be read: {message}")]
pub struct OntologyError {
    /// Where it was read from.
    pub url: String,
    /// What is wrong with it.
    pub message: String,
}

impl Ontology {
    /// Adds the statements of one text: RDF/XML if it begins like XML, Turtle otherwise. Relative IRIs in it resolve
    /// against `url`. Statements other than `rdfs:subClassOf` and `owl:equivalentClass` between named classes are passed
    /// over.
    pub fn read(&mut self, url: &str, text: &str) -> Result<(), OntologyError> {
        let failed = |message: String| OntologyError { url: url.to_owned(), message };
        if text.trim_start_matches('\u{feff}').trim_start().starts_with('<') && !text.trim_start().starts_with("<http")
        {
            let parser = oxrdfxml::RdfXmlParser::new().with_base_iri(url).map_err(|error| failed(error.to_string()))?;
            for triple in parser.for_slice(text.as_bytes()) {
                self.add(triple.map_err(|error| failed(error.to_string()))?);
            }
        } else {
            let parser = oxttl::TurtleParser::new().with_base_iri(url).map_err(|error| failed(error.to_string()))?;
            for triple in parser.for_slice(text.as_bytes()) {
                self.add(triple.map_err(|error| failed(error.to_string()))?);
            }
        }
        Ok(())
    }

    fn add(&mut self, triple: Triple) {
        let (NamedOrBlankNode::NamedNode(subject), Term::NamedNode(object)) = (triple.subject, triple.object) else {
            return;
        };
        let mut is_a = |narrow: &str, broad: &str| {
            self.broader.entry(narrow.to_owned()).or_default().insert(broad.to_owned());
        };
        match triple.predicate.as_str() {
            SUB_CLASS_OF => is_a(subject.as_str(), object.as_str()),
            EQUIVALENT_CLASS => {
                is_a(subject.as_str(), object.as_str());
                is_a(object.as_str(), subject.as_str());
            }
            _ => {}
        }
    }

    /// Whether `found` is `wanted`, equivalent to it, or a subclass of it over any number of steps.
    pub fn is_a(&self, found: &str, wanted: &str) -> bool {
        let mut seen = BTreeSet::from([found]);
        let mut open = vec![found];
        while let Some(class) = open.pop() {
            if class == wanted {
                return true;
            }
            for broader in self.broader.get(class).into_iter().flatten() {
                if seen.insert(broader) {
                    open.push(broader);
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURTLE: &str = "@prefix f: <http://example.org/> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
        @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
        f:tiff rdfs:subClassOf f:image . f:image rdfs:subClassOf f:file, [ a owl:Restriction ] .
        f:tif owl:equivalentClass f:tiff .";
    const XML: &str = r#"<?xml version="1.0"?>
        <!DOCTYPE rdf:RDF [ <!ENTITY f "http://example.org/"> ]>
        <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:owl="http://www.w3.org/2002/07/owl#"
            xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#">
          <owl:Class rdf:about="&f;cog"><rdfs:subClassOf rdf:resource="http://example.org/tif"/></owl:Class>
        </rdf:RDF>"#;

    #[test]
    fn kinship_crosses_subclasses_equivalents_and_documents() {
        let mut ontology = Ontology::default();
        ontology.read("file:///formats.ttl", TURTLE).unwrap();
        ontology.read("file:///formats.owl", XML).unwrap();
        let is_a = |found: &str, wanted: &str| {
            ontology.is_a(&format!("http://example.org/{found}"), &format!("http://example.org/{wanted}"))
        };
        assert!(is_a("cog", "file") && is_a("tif", "tiff") && is_a("tiff", "tif") && is_a("unknown", "unknown"));
        assert!(!is_a("image", "tiff") && !is_a("unknown", "file"));
    }

    #[test]
    fn a_broken_ontology_is_an_error_that_names_it() {
        let error = Ontology::default().read("file:///x.ttl", "not turtle").unwrap_err();
        assert!(error.to_string().starts_with("the ontology file:///x.ttl cannot be read: "), "{error}");
        assert!(Ontology::default().read("file:///x.owl", "<rdf:RDF>").is_err());
    }
}

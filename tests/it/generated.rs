//! Files of the repository that are made by the program.

use crate::support::{Workshop, repository};

#[test]
fn the_custom_resource_definitions_are_those_of_this_program() {
    let checked_in = repository("crds");
    Workshop::new().weir_ok(&["generate", "crds", "--check", "--dir", checked_in.to_str().unwrap()]);
}

#[test]
fn the_definition_of_the_http_api_is_that_of_this_program() {
    let checked_in = repository("src/http/openapi");
    Workshop::new().weir_ok(&["generate", "openapi", "--check", "--dir", checked_in.to_str().unwrap()]);
}

#[test]
fn a_definition_that_was_edited_by_hand_is_told_with_the_command_that_mends_it() {
    let workshop = Workshop::new();
    workshop.weir_ok(&["generate", "crds"]);
    workshop.write("crds/processes.yaml", "kind: CustomResourceDefinition\n");
    let done = workshop.weir(&["generate", "crds", "--check"]);
    insta::assert_snapshot!(done.stderr, @"weir: not what this program generates: crds/processes.yaml; mend it with `cargo run -- generate crds --dir crds`");
    assert_eq!(done.code, Some(1));
}

//! The number of GPUs that a tool asks for (`cwltool:CUDARequirement`).

use super::documents::{load_one, messages, tool};

/// A tool with a `CUDARequirement` under `level`; the prefix of its namespace is of the document's choice.
fn cuda(level: &str, class: &str, fields: &str) -> String {
    format!(
        "cwlVersion: v1.2\n$namespaces: {{ext: 'http://commonwl.org/cwltool#'}}\nclass: CommandLineTool\nbaseCommand: t\ninputs: {{}}\noutputs: {{}}\n{level}:\n  {class}: {{{fields}}}\n"
    )
}

#[test]
fn the_number_of_gpus_is_read_by_the_namespace_and_what_cannot_be_checked_is_told() {
    let asked = |level: &str, class: &str, fields: &str| {
        let package = load_one(&cuda(level, class, fields)).unwrap();
        assert_eq!(crate::check::unsupported(&package), Vec::<&crate::requirement::Unsupported>::new());
        let effective = crate::requirement::Effective::of(&tool(&package).header);
        let amounts = effective.amounts().map(|(name, amount)| match amount {
            crate::Computed::Literal(amount) => format!("{name}={amount}"),
            crate::Computed::Expression(template) => format!("{name}={}", template.source),
        });
        (amounts.collect::<Vec<_>>().join(" "), package.warnings.to_string())
    };
    let told = |level: &str, class: &str, fields: &str| {
        let (amounts, warnings) = asked(level, class, fields);
        assert_eq!(warnings, "");
        amounts
    };
    assert_eq!(told("requirements", "ext:CUDARequirement", ""), "cudaDeviceCountMin=1");
    assert_eq!(told("hints", "ext:CUDARequirement", "cudaDeviceCountMin: 2"), "cudaDeviceCountMin=2");
    assert_eq!(
        told("requirements", "http://commonwl.org/cwltool#CUDARequirement", "cudaDeviceCountMax: 4"),
        "cudaDeviceCountMax=4"
    );
    let computed = "cudaDeviceCountMin: $(inputs.n), cudaDeviceCountMax: 2";
    assert_eq!(told("hints", "ext:CUDARequirement", computed), "cudaDeviceCountMin=$(inputs.n) cudaDeviceCountMax=2");
    let versions = "cudaVersionMin: '11.4', cudaComputeCapability: ['7.0', '8.0'], cudaDeviceCount: 1";
    let (amounts, warnings) = asked("requirements", "ext:CUDARequirement", versions);
    assert_eq!(amounts, "cudaDeviceCountMin=1");
    insta::assert_snapshot!(warnings, @"
    /p/a.cwl:8:3: warning: weir asks for the number of GPUs; it cannot check cudaVersionMin and cudaComputeCapability
     8 |   ext:CUDARequirement: {cudaVersionMin: '11.4', cudaComputeCapability: ['7.0', '8.0'], cudaDeviceCount: 1}
       |   ^^^^^^^^^^^^^^^^^^^
    help: where nodes differ, a job chooses among them with `podTemplate.nodeSelector`
    /p/a.cwl:8:88: warning: a requirement has no field 'cudaDeviceCount'
     8 |   ext:CUDARequirement: {cudaVersionMin: '11.4', cudaComputeCapability: ['7.0', '8.0'], cudaDeviceCount: 1}
       |                                                                                        ^^^^^^^^^^^^^^^
    help: it is ignored
    ");
}

#[test]
fn a_package_without_the_gpus_that_it_hints_at_keeps_those_that_it_requires() {
    let asks = |level: &str| {
        let package = load_one(&cuda(level, "ext:CUDARequirement", "")).unwrap().without_hinted_gpus();
        crate::requirement::Effective::of(&tool(&package).header).cuda().is_some()
    };
    assert!(asks("requirements") && !asks("hints"));
}

#[test]
fn a_wrong_number_of_gpus_is_told_with_its_place() {
    insta::assert_snapshot!(messages(&cuda("requirements", "ext:CUDARequirement", "cudaDeviceCountMin: -1, cudaDeviceCountMax: 1.5")), @"
    /p/a.cwl:8:45: error: cudaDeviceCountMin must be an integer of 0 or more or an expression, not a number
     8 |   ext:CUDARequirement: {cudaDeviceCountMin: -1, cudaDeviceCountMax: 1.5}
       |                                             ^^
    /p/a.cwl:8:69: error: cudaDeviceCountMax must be an integer of 0 or more or an expression, not a number
     8 |   ext:CUDARequirement: {cudaDeviceCountMin: -1, cudaDeviceCountMax: 1.5}
       |                                                                     ^^^
    ");
    insta::assert_snapshot!(messages(&cuda("hints", "ext:CUDARequirement", "cudaDeviceCountMin: 4, cudaDeviceCountMax: 2")), @"
    /p/a.cwl:8:45: error: cudaDeviceCountMin is 4, more than the 2 of cudaDeviceCountMax
     8 |   ext:CUDARequirement: {cudaDeviceCountMin: 4, cudaDeviceCountMax: 2}
       |                                             ^
    ");
    insta::assert_snapshot!(messages(&cuda("hints", "ext:CUDARequirement", "cudaDeviceCountMn: 4")), @"
    /p/a.cwl:8:25: error: a requirement has no field 'cudaDeviceCountMn'
     8 |   ext:CUDARequirement: {cudaDeviceCountMn: 4}
       |                         ^^^^^^^^^^^^^^^^^
    help: did you mean 'cudaDeviceCountMin'?
    ");
}

#[test]
fn a_cuda_requirement_without_its_namespace_is_shown_how_to_write_it() {
    let package = load_one(&cuda("requirements", "CudaRequirement", "")).unwrap();
    insta::assert_snapshot!(crate::check::unsupported(&package)[0].diagnostic(), @"
    /p/a.cwl:8:3: error: weir does not support `CudaRequirement`
     8 |   CudaRequirement: {}
       |   ^^^^^^^^^^^^^^^
    help: write `http://commonwl.org/cwltool#CUDARequirement`, or `cwltool:CUDARequirement` with `$namespaces: {cwltool: 'http://commonwl.org/cwltool#'}`
    ");
    let package = load_one(&cuda("hints", "cwltool:CUDARequirement", "")).unwrap();
    insta::assert_snapshot!(package.warnings, @"
    /p/a.cwl:8:3: warning: the class 'cwltool:CUDARequirement' is not supported
     8 |   cwltool:CUDARequirement: {}
       |   ^^^^^^^^^^^^^^^^^^^^^^^
    help: write `http://commonwl.org/cwltool#CUDARequirement`, or `cwltool:CUDARequirement` with `$namespaces: {cwltool: 'http://commonwl.org/cwltool#'}`
    ");
}

# Typed inputs (a box, URIs), several kinds of output; the raster steps themselves.
cwlVersion: v1.2
$namespaces: {s: https://schema.org/}
s:softwareVersion: 1.0.0
schemas:
  - http://schema.org/version/9.0/schemaorg-current-http.rdf
$graph:
  - class: Workflow
    id: pattern-12
    label: water mask of one scene, and what it is made of
    doc: water mask of one scene, and what it is made of
    requirements: 
      - class: ScatterFeatureRequirement
      - class: SchemaDefRequirement
        types:
        - $import: https://raw.githubusercontent.com/eoap/schemas/main/ogc.yaml
        - $import: https://raw.githubusercontent.com/eoap/schemas/main/string_format.yaml
    inputs:
      aoi:
        label: area of interest
        doc: area of interest
        type: https://raw.githubusercontent.com/eoap/schemas/main/ogc.yaml#BBox
      bands:
        label: common names of the bands
        doc: common names of the bands
        type: string[]
        default: ["green", "nir"]
      item:
        label: the scene
        doc: the scene
        type: Directory
      cropped-collection:
        label: collection of the cropped
        doc: collection of the cropped
        type: https://raw.githubusercontent.com/eoap/schemas/main/string_format.yaml#URI
      ndwi-collection:
        label: collection of the ndwi
        doc: collection of the ndwi
        type: https://raw.githubusercontent.com/eoap/schemas/main/string_format.yaml#URI
      water-bodies-collection:
        label: collection of the water-bodies
        doc: collection of the water-bodies
        type: https://raw.githubusercontent.com/eoap/schemas/main/string_format.yaml#URI
    outputs:
      - id: cropped
        label: the bands, cut
        doc: the bands, cut
        outputSource:
          - node_crop/cropped
        type: Directory[]
      - id: ndwi
        label: the index
        doc: the index
        outputSource:
          - node_normalized_difference/ndwi
        type: Directory
      - id: water_bodies
        label: the mask
        doc: the mask
        outputSource:
          - node_otsu/water_bodies
        type: Directory
    steps:
      node_crop:
        run: "#crop"
        in:
          item: item
          aoi: aoi
          epsg: aoi
          band: bands
          collection: cropped-collection
        out:
          - cropped
        scatter: band
        scatterMethod: dotproduct
      node_normalized_difference:
        run: "#norm_diff"
        in:
          rasters: {source: node_crop/cropped}
          collection: ndwi-collection
        out:
          - ndwi
      node_otsu:
        run: "#otsu"
        in:
          raster: {source: node_normalized_difference/ndwi}
          collection: water-bodies-collection
        out:
          - water_bodies
  - class: CommandLineTool
    id: crop
    requirements:
      - class: InlineJavascriptRequirement
      - class: ResourceRequirement
        coresMax: 1
        ramMax: 512
      - class: SchemaDefRequirement
        types:
        - $import: https://raw.githubusercontent.com/eoap/schemas/main/ogc.yaml
        - $import: https://raw.githubusercontent.com/eoap/schemas/main/string_format.yaml
      - class: NetworkAccess
        networkAccess: true
    hints:
      - class: DockerRequirement
        dockerPull: weir-eo
    baseCommand: [weir-eo, crop]
    inputs:
      item: {type: Directory, inputBinding: {prefix: --input-item}}
      aoi:
        type: https://raw.githubusercontent.com/eoap/schemas/main/ogc.yaml#BBox
        inputBinding:
          valueFrom: |
            ${
              if (![4, 6].includes(inputs.aoi.bbox.length)) { throw "a box has 4 or 6 numbers"; }
              return ["--aoi", inputs.aoi.bbox.join(",")];
            }
      epsg:
        type: https://raw.githubusercontent.com/eoap/schemas/main/ogc.yaml#BBox
        inputBinding:
          valueFrom: |
            ${
              const crs = inputs.epsg.crs;
              if (crs !== "CRS84") { throw `not a system that is known here: ${crs}`; }
              return ["--epsg", "EPSG:4326"];
            }
      band: {type: string, inputBinding: {prefix: --band}}
      collection:
        type: https://raw.githubusercontent.com/eoap/schemas/main/string_format.yaml#URI
        inputBinding:
          valueFrom: |
            ${
              const collection = inputs.collection.value;
              if (!/^https?:\/\/[^\s]+$/i.test(collection)) { throw "no URL of a collection: " + collection; }
              return null;
            }
    outputs:
      cropped: {type: Directory, outputBinding: {glob: .}}
  - class: CommandLineTool
    id: norm_diff
    requirements:
      - class: InlineJavascriptRequirement
      - class: ResourceRequirement
        coresMax: 1
        ramMax: 512
      - class: SchemaDefRequirement
        types:
        - $import: https://raw.githubusercontent.com/eoap/schemas/main/ogc.yaml
        - $import: https://raw.githubusercontent.com/eoap/schemas/main/string_format.yaml
      - class: NetworkAccess
        networkAccess: true
    hints:
      - class: DockerRequirement
        dockerPull: weir-eo
    baseCommand: [weir-eo, normalized_difference]
    inputs:
      rasters:
        type: Directory[]
        loadListing: shallow_listing
        inputBinding:
          valueFrom: |
            ${
              var args = [];
              for (var i = 0; i < inputs.rasters.length; i++) {
                args.push(`${inputs.rasters[i].path}/${inputs.rasters[i].listing[0].basename}`);
              }
              return args;
            }
      collection:
        type: https://raw.githubusercontent.com/eoap/schemas/main/string_format.yaml#URI
        inputBinding:
          valueFrom: |
            ${
              const collection = inputs.collection.value;
              if (!/^https?:\/\/[^\s]+$/i.test(collection)) { throw "no URL of a collection: " + collection; }
              return null;
            }
    outputs:
      ndwi: {type: Directory, outputBinding: {glob: .}}
  - class: CommandLineTool
    id: otsu
    requirements:
      - class: InlineJavascriptRequirement
      - class: ResourceRequirement
        coresMax: 1
        ramMax: 512
      - class: SchemaDefRequirement
        types:
        - $import: https://raw.githubusercontent.com/eoap/schemas/main/ogc.yaml
        - $import: https://raw.githubusercontent.com/eoap/schemas/main/string_format.yaml
      - class: NetworkAccess
        networkAccess: true
    hints:
      - class: DockerRequirement
        dockerPull: weir-eo
    baseCommand: [weir-eo, otsu]
    inputs:
      raster:
        type: Directory
        inputBinding: {valueFrom: $(self.path)/norm_diff.tif}
      collection:
        type: https://raw.githubusercontent.com/eoap/schemas/main/string_format.yaml#URI
        inputBinding:
          valueFrom: |
            ${
              const collection = inputs.collection.value;
              if (!/^https?:\/\/[^\s]+$/i.test(collection)) { throw "no URL of a collection: " + collection; }
              return null;
            }
    outputs:
      water_bodies: {type: Directory, outputBinding: {glob: .}}

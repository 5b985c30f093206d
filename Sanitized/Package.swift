// swift-tools-version: 6.2
import PackageDescription

// Parts of the library to be built with a sanitizer: the parsers of untrusted bytes under libFuzzer, which follows what
// they cover (`Scripts/fuzz --coverage PARSER`), and decode steps and KV caches under the thread sanitizer
// (`Scripts/check threads`). A package of its own, as all of its targets are instrumented, and nothing has to be
// fetched for it.
func library(_ folder: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: "Martlet\(folder)", dependencies: dependencies + ["MartletPlatform"], path: "Sources/\(folder)")
}

let package = Package(
    name: "martlet-sanitized",
    targets: [
        .target(name: "CMartletKernels", path: "Sources/CKernels"),
        .target(name: "CMartletModelsData", path: "Sources/CModelsData", exclude: ["configuration_keys.json"]),
        .target(name: "MartletPlatform", path: "Sources/Platform"),
        library("JSON"),
        library("Tensors", ["CMartletKernels"]),
        library("Formats", ["MartletTensors", "MartletJSON"]),
        library("Templates", ["MartletJSON"]),
        library("Tokenizers", ["MartletJSON"]),
        library("Layers", ["MartletTensors"]),
        library("Distributed"),
        library(
            "Models",
            [
                "CMartletModelsData", "MartletDistributed", "MartletLayers", "MartletTensors", "MartletFormats",
                "MartletJSON",
            ]),
        library("Generation", ["MartletModels", "MartletLayers", "MartletTensors", "MartletFormats", "MartletJSON"]),
        library("Constraints", ["MartletGeneration", "MartletTokenizers", "MartletJSON"]),
        .executableTarget(
            name: "martlet-parsers",
            dependencies: [
                "MartletConstraints", "MartletFormats", "MartletGeneration", "MartletJSON", "MartletModels",
                "MartletPlatform", "MartletTemplates", "MartletTensors", "MartletTokenizers",
            ], path: "ParserDriver"),
        .target(
            name: "TestSupport",
            dependencies: [
                "MartletGeneration", "MartletLayers", "MartletModels", "MartletPlatform", "MartletTensors",
            ], path: "TestSupport"),
        .testTarget(
            name: "ThreadTests",
            dependencies: [
                "MartletGeneration", "MartletLayers", "MartletModels", "MartletTensors",
                "TestSupport",
            ], path: "ThreadTests"),
    ]
)

for target in package.targets where target.name != "CMartletKernels" {
    target.swiftSettings = [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InferIsolatedConformances"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
        .enableUpcomingFeature("ImmutableWeakCaptures"),
        .strictMemorySafety(),
    ]
}

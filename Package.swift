// swift-tools-version: 6.2
import PackageDescription

// Module names carry the prefix `Martlet` so that the package can stand beside others; folders do not.
func library(_ folder: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(
        name: "Martlet\(folder)", dependencies: dependencies + ["MartletPlatform"], path: "Sources/\(folder)")
}

func tests(_ folder: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .testTarget(
        name: "\(folder)Tests",
        dependencies: [.target(name: "Martlet\(folder)"), "MartletPlatform", "TestSupport"] + dependencies,
        path: "Tests/\(folder)Tests")
}

let package = Package(
    name: "martlet",
    products: [
        .library(name: "Martlet", targets: ["Martlet"]),
        .library(name: "MartletTokenizers", targets: ["MartletTokenizers"]),
        .library(name: "MartletTemplates", targets: ["MartletTemplates"]),
        .library(name: "MartletPlanning", targets: ["MartletPlanning"]),
        .library(name: "MartletTraining", targets: ["MartletTraining"]),
        .executable(name: "martlet", targets: ["martlet-cli"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        .target(name: "CMartletKernels", path: "Sources/CKernels"),
        .target(name: "MartletPlatform", path: "Sources/Platform"),
        library("JSON"),
        library("Tensors", ["CMartletKernels"]),
        library("Formats", ["MartletTensors", "MartletJSON"]),
        library("Templates", ["MartletJSON"]),
        library("Tokenizers", ["MartletJSON"]),
        library("Layers", ["MartletTensors"]),
        .target(name: "CMartletModelsData", path: "Sources/CModelsData", exclude: ["configuration_keys.json"]),
        library("Models", ["CMartletModelsData", "MartletLayers", "MartletTensors", "MartletFormats", "MartletJSON"]),
        .target(
            name: "CMartletPlanningData", path: "Sources/CPlanningData", exclude: ["hardware.json", "presets.json"]),
        library(
            "Planning",
            [
                "CMartletPlanningData", "MartletModels", "MartletLayers", "MartletTensors", "MartletFormats",
                "MartletJSON",
            ]),
        library(
            "Measuring",
            [
                "MartletGeneration", "MartletPlanning", "MartletModels", "MartletLayers", "MartletTensors",
                "MartletFormats", "MartletJSON",
            ]),
        library(
            "Quantization",
            [
                "MartletPlanning", "MartletModels", "MartletLayers", "MartletTensors", "MartletFormats", "MartletJSON",
            ]),
        library(
            "Generation",
            ["MartletModels", "MartletLayers", "MartletTensors", "MartletFormats", "MartletJSON"]),
        library("Constraints", ["MartletGeneration", "MartletTokenizers", "MartletJSON"]),
        library("Serving"),
        library(
            "Tasks",
            [
                "MartletGeneration", "MartletTokenizers", "MartletModels", "MartletLayers", "MartletTensors",
                "MartletFormats", "MartletJSON",
            ]),
        library(
            "Training",
            [
                "CMartletKernels", "MartletDistributed", "MartletModels", "MartletLayers", "MartletTensors",
                "MartletTokenizers",
                "MartletFormats", "MartletJSON", .product(name: "Yams", package: "Yams"),
            ]),
        library("Distributed"),
        .target(
            name: "Martlet",
            dependencies: [
                "CShippedModel", "MartletPlatform", "MartletTemplates", "MartletTensors", "MartletFormats",
                "MartletTokenizers", "MartletLayers", "MartletModels", "MartletGeneration", "MartletPlanning",
                "MartletQuantization", "MartletTasks", "MartletJSON",
            ]),
        .target(name: "CShippedModel", path: "Sources/CShippedModel", exclude: ["english.gguf"]),
        .executableTarget(
            name: "martlet-cli",
            dependencies: [
                "Martlet", "MartletPlatform", "MartletTensors", "MartletFormats", "MartletTokenizers",
                "MartletLayers",
                "MartletModels",
                "MartletDistributed", "MartletGeneration", "MartletPlanning", "MartletMeasuring", "MartletQuantization",
                "MartletTasks",
                "MartletTraining",
                "MartletJSON",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),

        .executableTarget(
            name: "martlet-fuzz",
            dependencies: [
                "Martlet", "MartletFormats", "MartletGeneration", "MartletJSON", "MartletLayers", "MartletModels",
                "MartletPlatform",
                "MartletTasks", "MartletTemplates", "MartletTensors", "MartletTokenizers", "MartletTraining",
            ],
            path: "Tests/Fuzz"),
        .target(
            name: "TestSupport", dependencies: ["MartletLayers", "MartletPlatform", "MartletTensors"],
            path: "Tests/TestSupport"),
        .target(name: "CAllocationCounter", path: "Tests/AllocationCounter"),
        tests("JSON"),
        tests("Tensors", ["CMartletKernels"]),
        tests("Formats", ["MartletTensors", "MartletJSON"]),
        tests("Templates", ["MartletJSON"]),
        tests("Distributed"),
        tests("Tokenizers", ["MartletTemplates", "MartletJSON", "MartletFormats"]),
        tests("Models", ["MartletLayers", "MartletTensors", "MartletFormats", "MartletGeneration", "MartletJSON"]),
        tests(
            "Quantization",
            [
                "MartletPlanning", "MartletModels", "MartletLayers", "MartletTensors", "MartletFormats", "MartletJSON",
            ]),
        tests(
            "Planning",
            [
                "MartletQuantization", "MartletMeasuring", "MartletModels", "MartletLayers", "MartletTensors",
                "MartletFormats", "MartletJSON",
            ]),
        tests(
            "Generation",
            [
                "CAllocationCounter", "MartletModels", "MartletLayers", "MartletTensors", "MartletFormats",
                "MartletJSON",
            ]),
        tests("Constraints", ["MartletGeneration", "MartletJSON"]),
        tests("Serving"),
        tests(
            "Tasks",
            [
                "MartletModels", "MartletTensors", "MartletTokenizers", "MartletFormats", "MartletJSON",
                "MartletLayers",
                "MartletGeneration",
            ]),
        tests(
            "Training",
            [
                "MartletDistributed", "CMartletKernels", "MartletModels", "MartletLayers", "MartletTensors",
                "MartletTokenizers",
                "MartletFormats", "MartletJSON",
            ]),
        .testTarget(
            name: "MartletTests",
            dependencies: [
                "Martlet", "MartletPlatform", "MartletFormats", "MartletGeneration", "MartletJSON", "MartletLayers",
                "MartletModels",
                "MartletTensors",
                "MartletTokenizers", "TestSupport",
            ]),
        .testTarget(
            name: "CommandTests", dependencies: ["martlet-cli", "MartletJSON", "MartletPlatform", "TestSupport"],
            path: "Tests/CommandTests"),
    ]
)

for target in package.targets where !["CMartletKernels", "CAllocationCounter"].contains(target.name) {
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

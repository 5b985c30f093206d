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

// A product of another package that only the trait `Server` needs.
func server(_ product: String, _ package: String) -> Target.Dependency {
    .product(name: product, package: package, condition: .when(traits: ["Server"]))
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
    traits: [
        .trait(name: "Server", description: "HTTP: martlet serve. Without it neither Hummingbird nor NIO is fetched."),
        .default(enabledTraits: ["Server"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
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
        library(
            "Models",
            [
                "CMartletModelsData", "MartletDistributed", "MartletLayers", "MartletTensors", "MartletFormats",
                "MartletJSON",
            ]),
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
                "MartletServing", "MartletGeneration", "MartletPlanning", "MartletModels", "MartletLayers",
                "MartletTensors",
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
        library("Serving", ["MartletGeneration", "MartletModels", "MartletLayers", "MartletTensors"]),
        library(
            "Tasks",
            [
                "MartletGeneration", "MartletTokenizers", "MartletModels", "MartletLayers", "MartletTensors",
                "MartletFormats", "MartletJSON",
            ]),
        library(
            "Training",
            [
                "CMartletKernels", "Martlet", "MartletTasks", "MartletQuantization", "MartletDistributed",
                "MartletPlanning", "MartletModels", "MartletLayers", "MartletTensors",
                "MartletTokenizers", "MartletTemplates",
                "MartletFormats", "MartletJSON", .product(name: "Yams", package: "Yams"),
            ]),
        library("Distributed"),
        library("Hub", ["MartletFormats", "MartletJSON"]),
        .target(
            name: "Martlet",
            dependencies: [
                "CShippedModel", "MartletPlatform", "MartletTemplates", "MartletTensors", "MartletFormats",
                "MartletTokenizers", "MartletLayers", "MartletModels", "MartletGeneration", "MartletPlanning",
                "MartletQuantization", "MartletTasks", "MartletJSON", "MartletConstraints", "MartletServing",
                "MartletHub",
            ]),
        library(
            "API",
            [
                "MartletServing", "CMartletPage", "CMartletPlanningData", "MartletConstraints", "Martlet",
                "MartletTasks",
                "MartletPlanning",
                "MartletTemplates", "MartletGeneration",
                "MartletTokenizers", "MartletModels", "MartletLayers", "MartletTensors", "MartletFormats",
                "MartletJSON",
            ]),
        .target(name: "CMartletPage", path: "Sources/CPage", exclude: ["page.html", "page.css", "page.js"]),
        library(
            "ServingHTTP",
            [
                "MartletAPI", "MartletJSON", server("Hummingbird", "hummingbird"),
                server("HummingbirdCore", "hummingbird"),
                server("NIOCore", "swift-nio"), server("NIOPosix", "swift-nio"), server("NIOHTTP1", "swift-nio"),
                server("NIOHTTPTypes", "swift-nio-extras"), server("NIOHTTPTypesHTTP1", "swift-nio-extras"),
                server("HTTPTypes", "swift-http-types"),
                server("Logging", "swift-log"), server("ServiceLifecycle", "swift-service-lifecycle"),
            ]),
        .target(name: "CShippedModel", path: "Sources/CShippedModel", exclude: ["english.gguf", "sentences.gguf"]),
        .executableTarget(
            name: "martlet-cli",
            dependencies: [
                "Martlet", "MartletPlatform", "MartletTemplates", "MartletTensors", "MartletFormats",
                "MartletTokenizers",
                "MartletLayers",
                "MartletModels",
                "MartletDistributed", "MartletGeneration", "MartletPlanning", "MartletMeasuring", "MartletQuantization",
                "MartletServing",
                "MartletTasks",
                "MartletTraining", "MartletHub",
                "MartletJSON", "MartletAPI", "MartletServingHTTP",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                server("UnixSignals", "swift-service-lifecycle"),
            ]),

        .executableTarget(
            name: "martlet-fuzz",
            dependencies: [
                "Martlet", "MartletAPI", "MartletConstraints", "MartletFormats", "MartletGeneration", "MartletJSON",
                "MartletLayers", "MartletModels", "MartletPlatform", "MartletTasks", "MartletTemplates",
                "MartletTensors", "MartletTokenizers", "MartletTraining", "TestSupport",
            ],
            path: "Tests/Fuzz"),
        .target(
            name: "TestSupport",
            dependencies: [
                "MartletGeneration", "MartletLayers", "MartletModels", "MartletPlatform", "MartletTensors",
            ],
            path: "Tests/TestSupport"),
        .target(name: "CAllocationCounter", path: "Tests/AllocationCounter"),
        tests("JSON"),
        tests("Tensors", ["CMartletKernels"]),
        tests("Formats", ["MartletTensors", "MartletJSON"]),
        tests("Templates", ["MartletJSON"]),
        tests("Distributed"),
        tests("Hub", ["MartletFormats", "MartletJSON"]),
        tests("Tokenizers", ["MartletTemplates", "MartletJSON", "MartletFormats"]),
        tests(
            "Models",
            [
                "MartletDistributed", "MartletLayers", "MartletTensors", "MartletFormats", "MartletGeneration",
                "MartletJSON",
            ]),
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
        tests("Serving", ["MartletGeneration", "MartletModels", "MartletLayers", "MartletTensors"]),
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
                "MartletDistributed", "MartletPlanning", "CMartletKernels", "MartletModels", "MartletLayers",
                "MartletTensors", "MartletTokenizers", "MartletTemplates",
                "MartletFormats", "MartletJSON",
            ]),
        tests("API", ["Martlet", "MartletTokenizers", "MartletTemplates", "MartletJSON"]),
        tests(
            "ServingHTTP",
            [
                "MartletAPI", "Martlet", "MartletGeneration", "MartletModels", "MartletLayers", "MartletTensors",
                "MartletTokenizers", "MartletFormats", "MartletJSON",
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
            name: "CommandTests",
            dependencies: [
                "martlet-cli", "martlet-fuzz", "MartletFormats", "MartletJSON", "MartletPlatform", "MartletTensors",
                "TestSupport",
            ],
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

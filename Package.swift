// swift-tools-version: 6.2
import PackageDescription

// Toy cryptography in the place of libsodium's, for the simulator alone (docs/simulation.md). It goes into
// a build directory of its own, and everything else stops at its first random number.
let hasToyCrypto = Context.environment["FEDTRAIN_MOCK_CRYPTO"] == "1"

// The floors of docs/architecture: a target imports only from floors below it.
let package = Package(
    name: "fedtrain",
    products: [
        .executable(name: "fedtrain", targets: ["fedtrain"]),
        .executable(name: "simulate-faults", targets: ["simulate-faults"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(
            url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    ],
    targets: [
        // Floor 0: module maps of system libraries, no logic.
        .systemLibrary(name: "CSodium", providers: [.apt(["libsodium-dev"])]),
        .systemLibrary(name: "CGMP", providers: [.apt(["libgmp-dev"])]),
        .systemLibrary(name: "COpenBLAS", providers: [.apt(["libopenblas-dev"])]),
        .systemLibrary(name: "CMalloc"),
        // The only C code of our own: loops that one source gives for several instruction sets.
        .target(name: "CVector"),

        // Floor 1: one Swift face per library, and the numeric kernels.
        hasToyCrypto
            ? .target(name: "Sodium", path: "Simulation-support/MockSodium")
            : .target(name: "Sodium", dependencies: ["CSodium"]),
        .target(name: "GMP", dependencies: ["CGMP"]),
        .target(name: "Kernels", dependencies: ["COpenBLAS", "CVector"]),

        // Floor 2: the three pillars, which do not know one another.
        .target(
            name: "SecureAgg",
            dependencies: [
                "Sodium", "GMP", .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            exclude: ["Wire/secagg.proto"]),
        .target(name: "DP", dependencies: ["Sodium", "GMP", "CVector"]),
        .target(name: "Models", dependencies: ["Kernels"]),

        // Floor 3: the only place where the pillars meet.
        .target(
            name: "FedTrain", dependencies: ["SecureAgg", "DP", "Models"],
            resources: [.copy("Resources/built-in-base"), .copy("Resources/studies")]),

        // Beside them: a federation in one thread, for finding faults in SecureAgg.
        .target(name: "Simulation", dependencies: ["SecureAgg", "Sodium", "GMP"]),
        .executableTarget(
            name: "simulate-faults", dependencies: ["Simulation"],
            swiftSettings: hasToyCrypto ? [.define("TOY_CRYPTO")] : []),

        // Floor 4: the federation over a network.
        .target(
            name: "Service",
            dependencies: [
                "FedTrain",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HummingbirdTLS", package: "hummingbird"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "X509", package: "swift-certificates"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            exclude: ["API/service.proto"]),

        // Floor 5: the command line.
        .executableTarget(
            name: "fedtrain",
            dependencies: [
                "FedTrain", "Service", "CMalloc",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Yams", package: "Yams"),
            ]),

        // Every decoder as a function of bytes: for the fuzzer and, with seeded damage, for the tests.
        .target(
            name: "FuzzTargets", dependencies: ["SecureAgg", "DP", "Models", "Sodium", "GMP"],
            path: "Fuzz/Targets"),

        .testTarget(name: "FuzzTests", dependencies: ["FuzzTargets"]),
        .testTarget(name: "SodiumTests", dependencies: ["Sodium"]),
        .testTarget(name: "GMPTests", dependencies: ["GMP"]),
        .testTarget(name: "KernelsTests", dependencies: ["Kernels", "CVector"]),
        .testTarget(name: "SecureAggTests", dependencies: ["SecureAgg", "Sodium", "GMP"]),
        .testTarget(name: "SimulationTests", dependencies: ["Simulation", "SecureAgg", "Sodium", "GMP"]),
        .testTarget(name: "DPTests", dependencies: ["DP", "Sodium", "GMP"]),
        .testTarget(name: "ModelsTests", dependencies: ["Models", "Kernels"]),
        .testTarget(
            name: "FedTrainTests",
            dependencies: ["FedTrain", "SecureAgg", "DP", "Models", "Sodium", "GMP"]),
        .testTarget(
            name: "ServiceTests",
            dependencies: [
                "Service", "FedTrain", "SecureAgg", "DP", "Models", "Sodium", "GMP",
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ]),
        // The command line as a person uses it: the built executable, its output and exit codes.
        .testTarget(name: "CommandTests", dependencies: ["fedtrain"]),
    ],
    swiftLanguageModes: [.v6]
)

// Continuous integration builds without a single warning; elsewhere a newer compiler may find new ones.
if Context.environment["CI"] != nil {
    for target in package.targets where target.type != .system {
        target.swiftSettings = (target.swiftSettings ?? []) + [.treatAllWarnings(as: .error)]
    }
}

// scripts/fuzz builds everything that decodes with coverage counters, and a driver around libFuzzer, whose
// library without a main it names in FEDTRAIN_FUZZ.
if let fuzzerRuntime = Context.environment["FEDTRAIN_FUZZ"] {
    for target in package.targets where ["FuzzTargets", "SecureAgg", "DP", "Models"].contains(target.name) {
        target.swiftSettings = (target.swiftSettings ?? []) + [.unsafeFlags(["-sanitize=fuzzer"])]
    }
    package.targets.append(
        .executableTarget(
            name: "FuzzDriver", dependencies: ["FuzzTargets"], path: "Fuzz/Driver",
            linkerSettings: [.unsafeFlags([fuzzerRuntime, "-lstdc++"])]))
}

// swift-tools-version: 6.2
import PackageDescription

/// What every Swift target of the house is built with.
let house: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("InferIsolatedConformances"),
  .enableExperimentalFeature("Lifetimes"),
]

/// The wire target marks each unsafe expression, so that a review can find them all.
let strict: [SwiftSetting] = house + [.strictMemorySafety()]

let package = Package(
  name: "SimpleRPC",
  products: [
    .library(name: "RPCServer", targets: ["RPCServer"]),
    .library(name: "RPCClient", targets: ["RPCClient"]),
    .library(name: "RPCShell", targets: ["RPCShell"]),
    .executable(name: "rpc-server", targets: ["rpc-server"]),
    .executable(name: "initializer", targets: ["initializer"]),
    .executable(name: "rpc-client", targets: ["rpc-client"]),
    .executable(name: "rpc-bench", targets: ["rpc-bench"]),
  ],
  dependencies: [
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
  ],
  targets: [
    // C edges
    .target(name: "CLinux"),
    .target(name: "CLibEdit", linkerSettings: [.linkedLibrary("edit")]),
    .target(name: "CLua", linkerSettings: [.linkedLibrary("lua5.4")]),

    // The house, from the ground up
    .target(name: "RPCWire", swiftSettings: strict),
    .target(name: "RPCTransport", dependencies: ["CLinux", "RPCWire"], swiftSettings: house),
    .target(
      name: "RPCKeys", dependencies: ["RPCWire", .product(name: "Crypto", package: "swift-crypto")],
      swiftSettings: house),
    .target(
      name: "RPCProcedures",
      dependencies: [
        "RPCWire", "RPCTransport", "CLua", "CLinux", .product(name: "Crypto", package: "swift-crypto"),
      ],
      resources: [
        "worker", "calls", "output", "rpc", "codec", "values", "errors", "state", "processes", "namespaces",
        "parent",
      ].map {
        .embedInCode("Python/\($0).py")
      },
      swiftSettings: house),
    .target(
      name: "RPCClient", dependencies: ["RPCWire", "RPCTransport", "RPCKeys", "CLinux"], swiftSettings: house),
    .target(
      name: "RPCDeployment",
      dependencies: [
        "RPCWire", "RPCKeys", "RPCProcedures", "RPCClient", .product(name: "Yams", package: "Yams"),
        .product(name: "Crypto", package: "swift-crypto"),
      ],
      swiftSettings: house),
    .target(
      name: "RPCServer",
      dependencies: [
        "RPCWire", "RPCTransport", "RPCKeys", "RPCProcedures", "RPCClient", "RPCDeployment", "CLinux",
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: house),
    .target(
      name: "RPCShell",
      dependencies: [
        "RPCWire", "RPCKeys", "RPCProcedures", "RPCClient", "RPCDeployment", "RPCTransport", "CLibEdit",
        "CLinux",
        .product(name: "Histogram", package: "hdrhistogram-swift"),
      ],
      swiftSettings: house),

    // The programs: parse arguments, call run()
    .executableTarget(
      name: "rpc-server",
      dependencies: [
        "RPCServer", "RPCKeys", "RPCTransport",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: house),
    .executableTarget(
      name: "initializer",
      dependencies: [
        "RPCClient", "RPCDeployment", "RPCKeys", "RPCTransport",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: house),
    .executableTarget(
      name: "rpc-client",
      dependencies: [
        "RPCShell", "RPCTransport", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: house),
    .executableTarget(
      name: "rpc-bench",
      dependencies: [
        "RPCWire", "RPCTransport", "RPCClient", "CLinux",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Histogram", package: "hdrhistogram-swift"),
      ],
      swiftSettings: house),

    // The programs of Docs/EMBEDDING.md, built with the tests so that they stay true.
    .executableTarget(
      name: "embedded-server", dependencies: ["RPCServer"], path: "Examples/embedded-server",
      swiftSettings: house),
    .executableTarget(
      name: "embedded-client", dependencies: ["RPCClient"], path: "Examples/embedded-client",
      swiftSettings: house),

    // What the benchmarks load; no product.
    .executableTarget(
      name: "bench-server", dependencies: ["RPCServer", "RPCProcedures", "RPCWire"],
      path: "Benchmarks/server", swiftSettings: house),

    // Tests
    .target(
      name: "TestSupport", dependencies: ["RPCTransport"], path: "Tests/TestSupport", swiftSettings: house),
    .testTarget(name: "ArchitectureTests", swiftSettings: house),
    .testTarget(
      name: "EndToEndTests",
      dependencies: [
        "TestSupport",
        "rpc-server", "initializer", "rpc-client", "rpc-bench", "embedded-server", "embedded-client",
        "RPCClient", "RPCWire", "CLinux",
      ],
      swiftSettings: house),
    .testTarget(
      name: "RPCDeploymentTests",
      dependencies: ["TestSupport", "RPCDeployment", "RPCKeys", "RPCProcedures", "RPCClient", "RPCServer", "RPCWire"],
      swiftSettings: house),
    .testTarget(name: "RPCWireTests", dependencies: ["RPCWire", "RPCKeys"], swiftSettings: house),
    .testTarget(
      name: "RPCKeysTests", dependencies: ["TestSupport", "RPCKeys", "RPCTransport", "RPCWire"],
      swiftSettings: house),
    .testTarget(
      name: "RPCProceduresTests", dependencies: ["RPCProcedures", "RPCTransport", "RPCWire"],
      swiftSettings: house),
    .testTarget(
      name: "RPCTransportTests", dependencies: ["RPCTransport", "RPCWire"], swiftSettings: house),
    .testTarget(
      name: "RPCServerTests",
      dependencies: ["TestSupport", "RPCServer", "RPCKeys", "RPCProcedures", "RPCTransport", "RPCWire"],
      swiftSettings: house),
    .target(
      name: "FuzzTargets",
      dependencies: [
        "RPCWire", "RPCTransport", "RPCKeys", "RPCProcedures", "RPCDeployment", "RPCClient", "RPCServer",
        "RPCShell", "CLua",
      ],
      path: "Tests/FuzzTargets", swiftSettings: house),
    .executableTarget(
      name: "fuzz", dependencies: ["FuzzTargets"], path: "Tests/Fuzz", swiftSettings: house),
    .testTarget(name: "FuzzTests", dependencies: ["FuzzTargets"], swiftSettings: house),
    .testTarget(
      name: "ConformanceTests",
      dependencies: ["RPCServer", "RPCClient", "RPCProcedures", "RPCTransport", "RPCWire"],
      swiftSettings: house),
    .testTarget(
      name: "RPCClientTests",
      dependencies: ["TestSupport", "RPCClient", "RPCKeys", "RPCServer", "RPCTransport", "RPCWire"],
      swiftSettings: house),
    .testTarget(
      name: "RPCShellTests",
      dependencies: [
        "TestSupport", "RPCShell", "RPCWire", "RPCProcedures", "RPCClient", "RPCTransport", "RPCServer",
        "rpc-client",
      ],
      swiftSettings: house),
  ]
)

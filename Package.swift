// swift-tools-version: 6.2
import PackageDescription

/// What every Swift target is built with.
let swiftSettings: [SwiftSetting] = [
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
let strictSettings: [SwiftSetting] = swiftSettings + [.strictMemorySafety()]

let package = Package(
  name: "SimpleRPC",
  products: [
    .library(name: "RPCServer", targets: ["RPCServer"]),
    .library(name: "RPCServiceLifecycle", targets: ["RPCServiceLifecycle"]),
    .library(name: "RPCClient", targets: ["RPCClient"]),
    .library(name: "RPCDeployment", targets: ["RPCDeployment"]),
    .executable(name: "rpc-server", targets: ["rpc-server"]),
    .executable(name: "initializer", targets: ["initializer"]),
    .executable(name: "rpc-client", targets: ["rpc-client"]),
    .executable(name: "rpc-bench", targets: ["rpc-bench"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    // Without its reader of YAML, which forgets places and brings a second libyaml.
    .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
  ],
  targets: [
    // C edges
    .target(name: "CLinux"),
    .target(name: "CLibEdit", linkerSettings: [.linkedLibrary("edit")]),
    .target(name: "CLibYAML", linkerSettings: [.linkedLibrary("yaml")]),
    .target(name: "CNGHTTP2", linkerSettings: [.linkedLibrary("nghttp2")]),
    .target(name: "CSeccomp", linkerSettings: [.linkedLibrary("seccomp")]),
    .target(name: "CLua", linkerSettings: [.linkedLibrary("lua5.4")]),
    .target(name: "COpenSSL", linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]),

    // Libraries, the lowest layer first
    .target(name: "RPCSystem", dependencies: ["CLinux"], swiftSettings: swiftSettings),
    .target(name: "RPCWire", swiftSettings: strictSettings),
    .target(
      name: "RPCTransport", dependencies: ["CLinux", "RPCSystem", "RPCWire"], swiftSettings: swiftSettings),
    .target(
      name: "RPCKeys",
      dependencies: ["RPCWire", .product(name: "Crypto", package: "swift-crypto")],
      swiftSettings: swiftSettings),
    .target(
      name: "RPCTLS", dependencies: ["COpenSSL", "RPCSystem", "RPCWire", "RPCTransport", "RPCKeys"],
      swiftSettings: swiftSettings),
    .target(name: "RPCNetwork", dependencies: ["RPCWire", "RPCKeys"], swiftSettings: swiftSettings),
    .target(
      name: "RPCProcedures",
      dependencies: [
        "RPCWire", "RPCSystem", "RPCTransport", "RPCNetwork", "CLua", "CLinux", "CSeccomp",
        .product(name: "Crypto", package: "swift-crypto"),
      ],
      resources: [
        "parent", "worker", "protocol", "limits", "sources", "calls", "output", "rpc", "codec", "values",
        "errors",
        "spelling", "state", "processes", "namespaces", "guardian", "confinement", "folders",
        "newborn", "provision", "hints", "requirements", "environment", "install", "groups",
      ].map {
        .embedInCode("Python/\($0).py")
      },
      swiftSettings: swiftSettings),
    .target(
      name: "RPCProto",
      dependencies: ["RPCWire", "RPCProcedures", .product(name: "SwiftProtobuf", package: "swift-protobuf")],
      exclude: ["Schemas"], swiftSettings: swiftSettings),
    .target(
      name: "RPCClient",
      dependencies: [
        "RPCWire", "RPCSystem", "RPCTransport", "RPCKeys", "RPCTLS", "RPCNetwork", "CLinux",
        .product(name: "DequeModule", package: "swift-collections"),
      ],
      swiftSettings: swiftSettings),
    .target(
      name: "RPCDeployment",
      dependencies: [
        "RPCSystem", "RPCWire", "RPCKeys", "RPCNetwork", "RPCProcedures", "RPCProto", "RPCClient", "CLibYAML",
        .product(name: "Crypto", package: "swift-crypto"),
      ],
      swiftSettings: swiftSettings),
    .target(
      name: "RPCSettings",
      dependencies: [
        "RPCWire", "RPCProcedures", "RPCDeployment",
        .product(name: "Configuration", package: "swift-configuration"),
      ],
      swiftSettings: swiftSettings),
    .target(
      name: "RPCServer",
      dependencies: [
        "RPCWire", "RPCSystem", "RPCTransport", "RPCKeys", "RPCTLS", "RPCNetwork", "RPCProcedures",
        "RPCProto",
        "RPCClient",
        "RPCDeployment", "CLinux", "CNGHTTP2", .product(name: "SwiftProtobuf", package: "swift-protobuf"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
      ],
      swiftSettings: swiftSettings),
    .target(
      name: "RPCServiceLifecycle",
      dependencies: [
        "RPCServer", .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: swiftSettings),
    .target(
      name: "RPCShell",
      dependencies: [
        "RPCWire", "RPCKeys", "RPCProcedures", "RPCClient", "RPCDeployment", "RPCSystem", "RPCTransport",
        "CLibEdit",
        "CLinux",
        .product(name: "DequeModule", package: "swift-collections"),
        .product(name: "Histogram", package: "hdrhistogram-swift"),
      ],
      swiftSettings: swiftSettings),

    // The programs: parse arguments, call run()
    .target(
      name: "RPCArguments",
      dependencies: [.product(name: "ArgumentParser", package: "swift-argument-parser")],
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "rpc-server",
      dependencies: [
        "RPCServer", "RPCSettings", "RPCDeployment", "RPCSystem", "RPCTransport",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "initializer",
      dependencies: [
        "RPCArguments", "RPCClient", "RPCDeployment", "RPCKeys", "RPCProcedures", "RPCShell", "RPCSystem",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "rpc-client",
      dependencies: [
        "RPCArguments", "RPCShell", "RPCSystem",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "rpc-bench",
      dependencies: [
        "RPCArguments", "RPCWire", "RPCSystem", "RPCTransport", "RPCClient", "RPCDeployment", "CLinux",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Histogram", package: "hdrhistogram-swift"),
      ],
      swiftSettings: swiftSettings),

    // The programs of Docs/EMBEDDING.md, built with the tests so that they stay true.
    .executableTarget(
      name: "embedded-server", dependencies: ["RPCServer"], path: "Examples/embedded-server",
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "embedded-client", dependencies: ["RPCClient"], path: "Examples/embedded-client",
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "embedded-network", dependencies: ["RPCClient", "RPCDeployment"],
      path: "Examples/embedded-network", swiftSettings: swiftSettings),
    .executableTarget(
      name: "embedded-service",
      dependencies: [
        "RPCServer", "RPCServiceLifecycle",
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      ],
      path: "Examples/embedded-service", swiftSettings: swiftSettings),

    // What the benchmarks load; no product.
    .executableTarget(
      name: "bench-server", dependencies: ["RPCServer", "RPCProcedures", "RPCWire"],
      path: "Benchmarks/server", swiftSettings: swiftSettings),

    // Tests
    .target(
      name: "TestSupport", dependencies: ["RPCSystem", "RPCTransport", "RPCWire"], path: "Tests/TestSupport",
      swiftSettings: swiftSettings),
    .testTarget(name: "ArchitectureTests", swiftSettings: swiftSettings),
    .testTarget(
      name: "EndToEndTests",
      dependencies: [
        "TestSupport",
        "rpc-server", "initializer", "rpc-client", "rpc-bench", "embedded-server", "embedded-client",
        "embedded-network", "embedded-service",
        "RPCClient", "RPCKeys", "RPCWire", "CLinux",
      ],
      exclude: ["TLS/tls_client.py", "TLS/tls_key_update.py"],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "RPCDeploymentTests",
      dependencies: [
        "TestSupport", "RPCSystem", "RPCDeployment", "RPCKeys", "RPCNetwork", "RPCProcedures", "RPCProto",
        "RPCClient",
        "RPCServer", "RPCWire",
      ],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "RPCSettingsTests", dependencies: ["RPCSettings", "RPCDeployment"], swiftSettings: swiftSettings),
    .testTarget(name: "RPCWireTests", dependencies: ["RPCWire", "RPCKeys"], swiftSettings: swiftSettings),
    .testTarget(
      name: "RPCKeysTests", dependencies: ["TestSupport", "RPCKeys", "RPCSystem", "RPCTransport", "RPCWire"],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "RPCTLSTests",
      dependencies: ["TestSupport", "RPCTLS", "RPCKeys", "RPCSystem", "RPCTransport", "RPCWire"],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "RPCNetworkTests", dependencies: ["RPCNetwork", "RPCKeys"],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "RPCProceduresTests",
      dependencies: ["TestSupport", "RPCProcedures", "RPCSystem", "RPCTransport", "RPCWire"],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "RPCProtoTests",
      dependencies: [
        "TestSupport", "RPCProto", "RPCProcedures", "RPCWire",
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "RPCServiceLifecycleTests",
      dependencies: ["RPCClient", "RPCServiceLifecycle", .product(name: "Logging", package: "swift-log")],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "RPCSystemTests", dependencies: ["TestSupport", "RPCSystem"], swiftSettings: swiftSettings),
    .testTarget(
      name: "RPCTransportTests", dependencies: ["TestSupport", "RPCSystem", "RPCTransport", "RPCWire"],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "RPCServerTests",
      dependencies: [
        "TestSupport", "RPCServer", "RPCKeys", "RPCNetwork", "RPCProcedures", "RPCSystem", "RPCTLS",
        "RPCTransport",
        "RPCWire",
        "RPCProto", "CNGHTTP2",
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
      ],
      swiftSettings: swiftSettings),
    .target(
      name: "FuzzTargets",
      dependencies: [
        "RPCWire", "RPCSystem", "RPCTransport", "RPCKeys", "RPCTLS", "RPCNetwork", "RPCProcedures",
        "RPCProto",
        "RPCDeployment",
        "RPCClient", "RPCServer", "RPCShell", "CLua",
        .product(name: "HTTPTypes", package: "swift-http-types"),
      ],
      path: "Tests/FuzzTargets", swiftSettings: swiftSettings),
    .executableTarget(
      name: "fuzz", dependencies: ["FuzzTargets"], path: "Tests/Fuzz", swiftSettings: swiftSettings),
    .testTarget(
      name: "FuzzTests", dependencies: ["FuzzTargets", "TestSupport"], swiftSettings: swiftSettings),
    .testTarget(
      name: "ConformanceTests",
      dependencies: ["RPCServer", "RPCClient", "RPCProcedures", "RPCSystem", "RPCTransport", "RPCWire"],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "RPCClientTests",
      dependencies: [
        "TestSupport", "RPCNetwork", "RPCClient", "RPCKeys", "RPCServer", "RPCSystem", "RPCTransport",
        "RPCWire",
      ],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "RPCShellTests",
      dependencies: [
        "TestSupport", "RPCShell", "RPCWire", "RPCProcedures", "RPCClient", "RPCSystem", "RPCTransport",
        "RPCServer",
        "rpc-client",
      ],
      swiftSettings: swiftSettings),
  ]
)

// solidus-work: the processor's work of operations, for whoever counts instructions. Nothing in it is drawn by chance
// but the numbers in signatures, whose cost does not depend on them.

import ArgumentParser
import CommandArguments
import Crypto
import ErasureCode
import InProcessWork
import QuorumProtocol

@main
struct SolidusWork: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "solidus-work",
        abstract: "Does the processor's work of so many operations, clients and servers in one thread.",
        discussion: """
            Encoding, hashing and fingerprinting, messages, the verification at each server, signing and checking \
            statements, verified reads and decoding: the functions that clients and servers use, without sockets, TLS \
            and disk, and each statement signed by itself. bench/count-instructions runs it under valgrind. It prints \
            nothing and takes no time; the difference between two counts is the cost of an operation.
            """)

    enum Operation: String, ExpressibleByArgument, CaseIterable {
        case put
        case get
    }

    @Argument(help: "put or get.")
    var operation: Operation
    @Option(help: "How many operations.")
    var count = 100
    @Option(help: "The value's size in bytes.")
    var size = 64 << 10
    @Option(help: "The mode.")
    var mode = ModeArgument(.fingerprint)
    @Option(help: "How many servers may fail (f), 1 to 6.")
    var faults = 1

    func validate() throws {
        guard count >= 0 else { throw ValidationError("--count is not negative") }
        guard (1...6).contains(faults) else { throw ValidationError("--faults are 1 to 6") }
        guard (0...ProtocolLimits().stripeSizeBytesMax).contains(size) else {
            throw ValidationError("--size is 0 to one stripe, 8 MiB")
        }
    }

    func run() throws {
        let secrets = try (0..<3 * faults + 1).map { number in
            try P256.Signing.PrivateKey(rawRepresentation: Self.bytes(count: 32, stream: UInt64(number) + 2))
        }
        let group = try InProcessGroup(faults: faults, dataFragmentCount: nil, mode: mode.mode, secrets: secrets)
        let client = InProcessClient(group)
        let value = SharedBytes(Self.bytes(count: size, stream: 1))
        switch operation {
        case .put:
            for number in 0..<count { try client.put(value, number: number) }
        case .get:
            try client.put(value, number: 0)
            for _ in 0..<count {
                guard try client.get(number: 0) == value else { preconditionFailure("another value was read") }
            }
        }
    }

    /// Bytes without a pattern, always the same ones of a stream.
    private static func bytes(count: Int, stream: UInt64) -> [UInt8] {
        var state = stream
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
    }
}

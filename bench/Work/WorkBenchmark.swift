// solidus-bench work

import ArgumentParser
import BenchmarkResults
import CommandArguments
import ErasureCode
import QuorumProtocol

/// `solidus-bench work`: a fixed number of operations without network and disk, for whoever counts instructions.
struct WorkBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "work",
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
    @Option(help: "The value's size: B, KiB or MiB.")
    var size = ByteSize(bytes: 64 << 10)
    @Option(help: "The mode.")
    var mode = ModeArgument(.fingerprint)
    @Option(help: "How many servers may fail (f), 1 to 6.")
    var faults = 1

    func validate() throws {
        guard count >= 0 else { throw ValidationError("--count is not negative") }
        guard (1...6).contains(faults) else { throw ValidationError("--faults are 1 to 6") }
        guard size.bytes <= ProtocolLimits().stripeSizeBytesMax else {
            throw ValidationError("--size is at most one stripe, 8MiB")
        }
    }

    func run() throws {
        let group = try InProcessGroup(faults: faults, dataFragmentCount: nil, mode: mode.mode)
        let client = InProcessClient(group)
        let value = RandomBytes.block(sizeBytes: size.bytes)
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
}

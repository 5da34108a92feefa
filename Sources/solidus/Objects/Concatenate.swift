// solidus cat

import ArgumentParser
import CommandArguments
import CommandOutcome
import ErasureCode
import QuorumClient
import QuorumProtocol

struct Concatenate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cat", abstract: "Write the bytes of objects to standard output, one behind the other.",
        discussion: "No byte of an object is written before all of them are known to be right.")

    @Argument(help: "The objects, BUCKET/KEY.", transform: ObjectArgument.key)
    var objects: [ObjectKey]
    @Option(
        help: "Only these bytes of each, counted from 0: FIRST-LAST, FIRST- for all from there, -COUNT for the last.",
        transform: ByteRange.init)
    var range: ByteRange?
    @OptionGroup var access: ClientArguments

    /// Bytes of a value, as HTTP's Range header has them.
    enum ByteRange: Equatable {
        case from(Int, through: Int?)
        case last(Int)

        init(_ text: String) throws {
            let ends = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
            let numbers = ends.map { end in end.allSatisfy { ("0"..."9").contains($0) } ? Int(end) : nil }
            guard ends.count == 2, zip(ends, numbers).allSatisfy({ $0.isEmpty || $1 != nil }) else {
                throw Self.invalid(text)
            }
            switch (numbers[0], numbers[1]) {
            case (let first?, let last): self = .from(first, through: last)
            case (nil, let count?): self = .last(count)
            case (nil, nil): throw Self.invalid(text)
            }
            if case .from(let first, through: let last?) = self, last < first { throw Self.invalid(text) }
        }

        private static func invalid(_ text: String) -> ValidationError {
            ValidationError("--range '\(text)' is not of the form FIRST-LAST, FIRST- or -COUNT.")
        }

        /// The bytes of a value of so many; nil when it begins past the end.
        func bounds(in count: Int) -> Range<Int>? {
            switch self {
            case .from(let first, let last):
                guard first < count else { return nil }
                return first..<(last.map { min($0, count - 1) + 1 } ?? count)
            case .last(let wanted):
                return (count - min(wanted, count))..<count
            }
        }
    }

    mutating func validate() throws {
        guard !objects.isEmpty else { throw ValidationError("Say which objects.") }
    }

    func run() async throws {
        let failed = try await access.withClient(try access.home()) {
            client async throws(ClientError) -> Failure? in
            for key in objects {
                let object = try await client.get(key)
                ClientArguments.warn(of: client, key)
                do throws(Failure) { try show(object) } catch { return error }
            }
            return nil
        }
        if let failed { throw failed }
    }

    private func show(_ object: StoredObject) throws(Failure) {
        Report.warn(object.status.observations)
        var value = object.value
        if let range {
            guard let bounds = range.bounds(in: value.count) else {
                throw Failure(.refused, "\(object.status.key) has \(value.count) bytes; the range begins behind them")
            }
            value = value[bounds]
        }
        try OutputFile.writeToStandardOutput(value)
    }
}

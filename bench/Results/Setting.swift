// What one measurement is a measurement of.

import QuorumProtocol

/// What clients do.
package enum BenchmarkOperation: String, Sendable, CaseIterable, Comparable {
    /// Writes a new key.
    case put
    /// Writes a key again that the same client, and no other, has written before.
    case overwrite
    /// Reads a random key of those that PUTs wrote.
    case get
    /// The same, while one of the servers that reads prefer stands still for the first half of the measurement.
    case getDuringPause = "get-during-pause"

    /// What every table compares.
    package static var basic: [Self] { [.put, .get] }

    package var isWrite: Bool { self == .put || self == .overwrite }

    /// By the order of the cases: what is read was written before.
    package static func < (left: Self, right: Self) -> Bool {
        allCases.firstIndex(of: left) ?? 0 < allCases.firstIndex(of: right) ?? 0
    }
}

/// All that is the same for the modes that are compared: a cluster's shape and a workload.
package struct Workload: Hashable, Sendable {
    /// f.
    package var faults: Int
    /// m.
    package var dataFragmentCount: Int
    package var operation: BenchmarkOperation
    /// The value's size: one stripe.
    package var size: ByteSize
    /// Operations in flight.
    package var clientCount: Int

    package init(
        faults: Int, dataFragmentCount: Int, operation: BenchmarkOperation, size: ByteSize, clientCount: Int
    ) {
        self.faults = faults
        self.dataFragmentCount = dataFragmentCount
        self.operation = operation
        self.size = size
        self.clientCount = clientCount
    }

    /// n.
    package var serverCount: Int { dataFragmentCount + 2 * faults }
}

/// What is compared: a mode, and which optimisations clients and servers leave out.
package struct Variant: Hashable, Sendable {
    package var mode: VerificationMode
    package var without: Set<Optimisation>

    package init(mode: VerificationMode, without: Set<Optimisation> = []) {
        self.mode = mode
        self.without = without
    }
}

/// A workload in a mode, with some optimisations left out or none.
package struct Setting: Hashable, Sendable {
    package var mode: VerificationMode
    package var without: Set<Optimisation>
    package var workload: Workload

    package init(mode: VerificationMode, without: Set<Optimisation> = [], workload: Workload) {
        self.mode = mode
        self.without = without
        self.workload = workload
    }

    package var variant: Variant { Variant(mode: mode, without: without) }
}

extension Workload: CustomStringConvertible {
    package var description: String {
        let clients = clientCount == 1 ? "1 client" : "\(clientCount) clients"
        return "f = \(faults), m = \(dataFragmentCount), \(size) \(operation.rawValue), \(clients)"
    }
}

extension Variant: CustomStringConvertible {
    package var description: String {
        "\(mode)" + (without.isEmpty ? "" : " without " + without.names.joined(separator: ", "))
    }
}

extension Setting: CustomStringConvertible {
    package var description: String { "\(workload), \(variant)" }
}

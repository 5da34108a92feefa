// What one measurement is a measurement of.

import QuorumProtocol

/// What clients do.
package enum BenchmarkOperation: String, Sendable, CaseIterable, Comparable {
    case put
    case get

    package static func < (left: Self, right: Self) -> Bool { left == .put && right == .get }
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

/// A workload in a mode.
package struct Setting: Hashable, Sendable {
    package var mode: VerificationMode
    package var workload: Workload

    package init(mode: VerificationMode, workload: Workload) {
        self.mode = mode
        self.workload = workload
    }
}

extension Workload: CustomStringConvertible {
    package var description: String {
        let clients = clientCount == 1 ? "1 client" : "\(clientCount) clients"
        return "f = \(faults), m = \(dataFragmentCount), \(size) \(operation.rawValue), \(clients)"
    }
}

extension Setting: CustomStringConvertible {
    package var description: String { "\(workload), \(mode)" }
}

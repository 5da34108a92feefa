// What the replica has signed lately: who sends a PREPARE again is told again, without a proof and without a pass
// through the disk (docs/protocol.md, Fair shares).

import DequeModule

/// The *stored* statements that were made last, as many as there is room for.
struct RememberedStatements: Sendable {
    private struct Name: Hashable, Sendable {
        let key: ObjectKey
        let timestamp: Timestamp
    }

    /// A few hundred bytes each: a megabyte or less.
    private static let countMax = 1024

    private var statements: [Name: SignedStatement] = [:]
    private var order: Deque<Name> = []

    func statement(on timestamp: Timestamp, of key: ObjectKey) -> SignedStatement? {
        statements.isEmpty ? nil : statements[Name(key: key, timestamp: timestamp)]
    }

    mutating func add(_ statement: SignedStatement, on timestamp: Timestamp, of key: ObjectKey) {
        let name = Name(key: key, timestamp: timestamp)
        guard statements.updateValue(statement, forKey: name) == nil else { return }
        order.append(name)
        if order.count > Self.countMax, let oldest = order.popFirst() { statements[oldest] = nil }
    }
}

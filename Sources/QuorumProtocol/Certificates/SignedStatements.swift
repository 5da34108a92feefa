// Statements on one version on their way to a certificate.

/// At most one statement of each server, in the servers' order.
struct SignedStatements: Sendable {
    private(set) var inOrder: [SignedStatement] = []

    var count: Int { inOrder.count }

    func contains(_ server: ServerIndex) -> Bool { inOrder.contains { $0.server == server } }

    /// In the place of an earlier one of the same server.
    mutating func add(_ statement: SignedStatement) {
        var position = inOrder.endIndex
        while position > 0, inOrder[position - 1].server >= statement.server { position -= 1 }
        if position < inOrder.endIndex, inOrder[position].server == statement.server {
            inOrder[position] = statement
        } else {
            inOrder.insert(statement, at: position)
        }
    }

    mutating func remove(_ server: ServerIndex) { inOrder.removeAll { $0.server == server } }
}

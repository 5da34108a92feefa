// Statements on one version on their way to a certificate.

/// At most one statement of each position's server, in the order of the positions.
struct SignedStatements: Sendable {
    private(set) var inOrder: [SignedStatement] = []
    private(set) var positions: [Position] = []

    var count: Int { inOrder.count }

    func contains(_ position: Position) -> Bool { positions.contains(position) }

    /// In the place of an earlier one of the same position.
    mutating func add(_ statement: SignedStatement, of position: Position) {
        var index = positions.endIndex
        while index > 0, positions[index - 1] >= position { index -= 1 }
        if index < positions.endIndex, positions[index] == position {
            inOrder[index] = statement
        } else {
            inOrder.insert(statement, at: index)
            positions.insert(position, at: index)
        }
    }

    mutating func remove(_ position: Position) {
        guard let index = positions.firstIndex(of: position) else { return }
        inOrder.remove(at: index)
        positions.remove(at: index)
    }
}

// How much one batch of changes and statements may be.

import QuorumProtocol

/// The bounds of a batch, and what of it there is so far.
package struct BatchLimits: Sendable {
    private let itemsMax: Int
    private var itemCount = 0
    private var sizeBytes = 0
    private var statementCount = 0

    /// A batch is full with so many bytes of parts: far below the store's limit for one batch, beyond which changes
    /// would be refused, and few enough that whoever waits for the first of them does not wait for gigabytes.
    private static let sizeBytesMax = 32 << 20

    package init(itemsMax: Int) {
        self.itemsMax = itemsMax
    }

    /// Takes an item into the batch if it has room. All statements of a batch have one signature, and so many may it be
    /// over: a client that has left many versions behind at many objects has each refusal come with statements on all
    /// of an object's. The first item always has room; no item has more than that many statements.
    package mutating func take(sizeBytes more: Int, statementCount statements: Int) -> Bool {
        guard
            itemCount == 0
                || itemCount < itemsMax && sizeBytes < Self.sizeBytesMax
                    && statementCount + statements <= MerkleTree.leafCountMax
        else { return false }
        itemCount += 1
        sizeBytes += more
        statementCount += statements
        return true
    }
}

// What a server has of a bucket (docs/protocol.md, Listing), from the store's list of live objects, whose rows are what
// an answer consists of.

import ObjectStorage
import QuorumProtocol

extension ProtocolStore {
    /// The live objects that a query asks for.
    ///
    /// - Returns: or why they cannot be told: the list of live objects is damaged there.
    package func list(_ query: ListingQuery) -> Result<ListingAnswer, Refusal> {
        var assembly = ListingAssembly(query, node: node, parameters)
        var malformed: MalformedEncoding?
        do {
            try store.walkLiveObjects(from: query.lowest, below: query.end) { key, head in
                do throws(MalformedEncoding) {
                    switch try assembly.take(key: key, live: head) {
                    case .next: return .next
                    case .skip(let start): return .skip(to: start)
                    case .end: return .end
                    }
                } catch {
                    malformed = error
                    return .end
                }
            }
            if let malformed { throw malformed }
            return .success(assembly.answer)
        } catch {
            _ = lost(.listing(error))
            return .failure(.storageFailed)
        }
    }
}

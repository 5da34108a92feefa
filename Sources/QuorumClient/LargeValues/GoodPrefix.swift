// Whether bytes that an interrupted download left are those of the object, so that it can be gone on with.

import ErasureCode
import Fingerprint
import QuorumProtocol

extension ObjectBytes {
    /// How many of so many leading bytes, which lie elsewhere, are this object's: those of whole stripes, up to the first
    /// that differs. None of a value of one stripe, and none in the mode `none`, where nothing tells.
    ///
    /// - Parameters:
    ///   - count: how many there are.
    ///   - read: gives these of them.
    /// - Throws: what `read` throws; as `ObjectClient.open`.
    public func goodPrefixBytes(
        of count: UInt64, read: (Range<UInt64>) async throws -> SharedBytes
    ) async throws -> UInt64 {
        guard case .staged(let staged, _, let client) = contents, client.parameters.mode.coverage != .nothing else {
            return 0
        }
        var good: UInt64 = 0
        for part in staged.parts {
            var page: StripePage?
            for stripe in 0..<part.stripeCount {
                let end = good + UInt64(part.blockSizeBytes(of: stripe))
                guard end <= count else { return good }
                let name: CrossChecksum
                if part.named.isEmpty {
                    let (first, _) = part.page(of: stripe)
                    if page?.first != first { page = try await client.page(first, of: part, key: status.key) }
                    guard let page else { return good }
                    name = page.stripes[Int(stripe - first)]
                } else {
                    name = part.named[Int(stripe)]
                }
                let block = try await read(good..<end)
                let (code, coverage) = (client.parameters.quorums.code, client.parameters.mode.coverage)
                let isRight = try await client.work {
                    CrossChecksum.encode(block: block, code: code, coverage: coverage).crossChecksum == name
                }
                guard isRight else { return good }
                good = end
            }
        }
        return good
    }
}

extension ObjectClient {
    /// The page of a part that begins with the stripe, as the descriptor names it; nil when no server gives it.
    fileprivate func page(_ first: UInt32, of part: StagedPart, key: ObjectKey) async throws(ClientError) -> StripePage?
    {
        let (_, count) = part.page(of: first)
        let range = Fetch.PageRange(first: first, count: UInt16(count))
        for server in context.connections.preference(parameters.placement(of: key)) {
            let reply: Reply
            do throws(ClientError) {
                reply = try await ask(.fetch(Fetch(key: key, attempt: part.attempt, page: range)), of: server)
            } catch .unavailable {
                continue
            }
            guard case .fetched(let parts) = reply, let bytes = parts.page,
                Digest256.sha256(bytes) == part.pages[Int(first / StripePage.stripesMax)],
                let page = try? StripePage(decoding: bytes, first: first, parameters: parameters),
                page.stripes.count == count, part.fits(page)
            else { continue }
            return page
        }
        return nil
    }
}

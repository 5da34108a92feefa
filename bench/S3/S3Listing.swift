// ListObjectsV2 of a whole bucket, a page after the other.

import BenchmarkResults
import Foundation
import S3Wire

struct S3Listing {
    private static let pageSize = 1000

    let target: S3Target
    let bucket: String
    let objectCount: Int

    /// Keys a second.
    ///
    /// - Throws: `.wrongListing` when it has not as many keys as the bucket.
    func run() throws -> Double {
        let start = ContinuousClock.now
        let caller = target.caller()
        var count = 0
        var token: String?
        repeat {
            var query = [(name: "list-type", value: "2"), (name: "max-keys", value: "\(Self.pageSize)")]
            if let token { query.append((name: "continuation-token", value: token)) }
            var page: [UInt8] = []
            let answer = try caller.call(S3Call("GET", "/\(bucket)", query: query)) { page += $0 }
            guard answer.status == 200 else {
                throw BenchmarkError.unusable(path: "/\(bucket)", reason: "status \(answer.status)")
            }
            count += Self.occurrences(of: Array("<Contents>".utf8), in: page)
            token = Self.element("NextContinuationToken", in: page)
        } while token != nil
        guard count == objectCount else {
            throw BenchmarkError.wrongListing(bucket: bucket, got: count, expected: objectCount)
        }
        return Double(count) / (ContinuousClock.now - start).inSeconds
    }

    private static func occurrences(of word: [UInt8], in page: [UInt8]) -> Int {
        page.withUnsafeBytes { page in
            guard let start = page.baseAddress else { return 0 }
            var (count, place) = (0, 0)
            while place + word.count <= page.count,
                let found = memchr(start + place, Int32(word[0]), page.count - word.count + 1 - place)
            {
                if memcmp(found, word, word.count) == 0 { count += 1 }
                place = UnsafeRawPointer(found) - start + 1
            }
            return count
        }
    }

    private static func element(_ name: String, in page: [UInt8]) -> String? {
        let text = String(decoding: page.suffix(4096) + page.prefix(4096), as: UTF8.self)
        guard let begin = text.range(of: "<\(name)>"), let end = text.range(of: "</\(name)>") else { return nil }
        return String(text[begin.upperBound..<end.lowerBound])
    }
}

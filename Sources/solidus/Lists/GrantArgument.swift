// Rights on a bucket as people write them.

import ArgumentParser
import QuorumProtocol

enum GrantArgument {
    static func grant(_ text: String) throws -> Grant {
        guard let grant = Grant(text) else {
            throw ValidationError(
                "'\(text)': write BUCKET:RIGHT,...; a right is read, write, list or admin, '*' every bucket.")
        }
        return grant
    }
}

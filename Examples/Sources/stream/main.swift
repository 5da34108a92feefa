// Stores a file of any size, reads it back into another one, and tells how far it has come. Then it reads the object once
// more as a stream, and counts its lines.

import Solidus

guard CommandLine.arguments.count == 4 else { fatalError("usage: stream CLUSTER-DIRECTORY FILE COPY") }
let (source, target) = (CommandLine.arguments[2], CommandLine.arguments[3])

try await withObjectClient(home: ClientHome(clusterDirectory: CommandLine.arguments[1])) { client in
    let key = try ObjectKey("streams/file")
    do {
        try await client.put(key, fromFile: source) { print("stored \($0) bytes") }
    } catch ObjectFileError.changed(let path) {
        print("\(path) was written meanwhile; nothing was stored")
        return
    }

    let status = try await client.get(key, toFile: target) { print("read \($0) bytes") }
    print("\(target) has the \(status.lengthBytes) bytes whose SHA-256 is \(status.etag)")

    // Each buffer was verified before it is given, and few are in memory at a time.
    var lineCount = 0
    for try await buffer in try await client.open(key).buffers {
        lineCount += buffer.readableBytesView.count { $0 == UInt8(ascii: "\n") }
    }
    print("\(lineCount) lines")
    try await client.delete(key)
}

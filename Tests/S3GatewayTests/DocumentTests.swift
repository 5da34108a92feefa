// XML in and out.

import Testing

@testable import S3Gateway

@Suite("Documents") struct DocumentTests {
    @Test("are read whatever their namespaces, prefixes and declarations are")
    func read() throws {
        for text in [
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                + "<Quiet>true</Quiet><Object><Key> a&amp;b&#x20; </Key></Object></Delete>",
            "<s:Delete xmlns:s='x'><s:Quiet>true</s:Quiet><s:Object><s:Key> a<![CDATA[&]]>b&#32; </s:Key></s:Object>"
                + "</s:Delete>",
            "\u{FEFF}<!-- c --><Delete ><Quiet >true</Quiet ><!----><Object a='&lt;'><Key> a&#38;b  </Key></Object>"
                + "</Delete>\n<!-- d -->\n",
        ] {
            let root = try XMLReader.read(Array(text.utf8))
            #expect(root.name == "Delete" && root.value("Quiet") == "true", "\(text)")
            #expect(root["Object"]?["Key"]?.text == " a&b  ", "\(text)")
        }
    }

    @Test(
        "that are not well-formed, or could become large, are refused",
        arguments: [
            "", " ", "x", "<a>", "<a></b>", "<a/><b/>", "<a><b></a></b>", "<a b></a>", "<a b=c></a>", "<a>&b;</a>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
            "<?php x?><a/>", "<a><?x?></a>", "<a>&#x1;</a>", "<a>&#0;</a>", "<a>&#xFFFE;</a>", "<a>\u{1}</a>",
            "<a>&#xD800;</a>", "<a>&amp</a>", "<1/>", "<a", "<a/>x", "<a><![CDATA[</a>", "<a b='<'/>",
            String(repeating: "<a>", count: 17) + String(repeating: "</a>", count: 17),
        ])
    func refused(text: String) {
        #expect(throws: S3Error.self) { _ = try XMLReader.read(Array(text.utf8)) }
    }

    @Test("may have as many parts as an upload")
    func largest() throws {
        let part = "<Part><PartNumber>1</PartNumber><ETag>x</ETag><ChecksumCRC32>x</ChecksumCRC32></Part>"
        let parts = "<C>" + String(repeating: part, count: 10_000) + "</C>"
        #expect(try XMLReader.read(Array(parts.utf8)).all("Part").count == 10_000)
    }

    @Test("with too many elements, and with bytes that are no text, are refused")
    func bounded() {
        let many = "<a>" + String(repeating: "<b/>", count: XMLReader.elementCountMax) + "</a>"
        #expect(throws: S3Error.self) { _ = try XMLReader.read(Array(many.utf8)) }
        #expect(throws: S3Error.self) { _ = try XMLReader.read(Array("<a>".utf8) + [0xFF] + Array("</a>".utf8)) }
    }

    @Test("that are written can be read")
    func written() throws {
        var xml = XMLWriter()
        let key = "a&b<c>\"d\"\r\n\t ü]]>"
        xml.root("Root") { xml in
            xml.text("Key", key)
            xml.number("Size", 12)
            xml.flag("IsTruncated", false)
        }
        #expect(xml.document.hasPrefix("<?xml"))
        let root = try XMLReader.read(Array(xml.document.utf8))
        #expect(root["Key"]?.text == key && root.value("Size") == "12" && root.value("IsTruncated") == "false")
    }
}

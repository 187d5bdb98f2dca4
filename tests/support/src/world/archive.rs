//! Archives of files, the same bytes each time: zip and gzipped tar.

use std::io::{Cursor, Write};

use flate2::{Compression, GzBuilder};
use zip::write::SimpleFileOptions;

/// A zip archive of these files. Names go in as they are, so that hostile ones can be made.
pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    // The format's first date: the default of the options without a clock, so the bytes depend on the content alone.
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (name, content) in files {
        writer
            .start_file(*name, options)
            .expect("an archive in memory takes any name");
        writer
            .write_all(content)
            .expect("an archive in memory takes any bytes");
    }
    writer
        .finish()
        .expect("an archive in memory ends well")
        .into_inner()
}

/// A gzipped tar archive of these files.
pub fn tar_gz(files: &[(&str, &[u8])]) -> Vec<u8> {
    let gzip = GzBuilder::new().write(Vec::new(), Compression::fast());
    let mut builder = tar::Builder::new(gzip);
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, name, *content)
            .expect("a relative name in an archive in memory");
    }
    builder
        .into_inner()
        .and_then(flate2::write::GzEncoder::finish)
        .expect("an archive in memory ends well")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_the_same_bytes_each_time() {
        let files: [(&str, &[u8]); 2] = [("a.csv", b"a\n1\n"), ("folder/b.csv", b"b\n2\n")];
        assert_eq!(zip(&files), zip(&files));
        assert_eq!(tar_gz(&files), tar_gz(&files));
        let mut archive = zip::ZipArchive::new(Cursor::new(zip(&files))).unwrap();
        assert_eq!(archive.by_name("folder/b.csv").unwrap().size(), 4);
    }
}

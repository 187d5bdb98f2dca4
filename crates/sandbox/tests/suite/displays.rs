//! What a cell shows beside text.

use synth_core::Fingerprint;
use synth_sandbox::CellResult;

use super::*;

fn types(result: &CellResult) -> Vec<&str> {
    let displays = &result.observation.displays;
    assert_eq!(displays.len(), result.displays.len());
    for (display, content) in displays.iter().zip(&result.displays) {
        assert_eq!(
            (display.blake3, display.bytes),
            (Fingerprint::of_bytes(content), content.len() as u64)
        );
    }
    displays
        .iter()
        .map(|display| display.media_type.as_str())
        .collect()
}

pub async fn an_image_is_kept_with_its_type(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    let code = "class Image:\n    def __init__(self, data): self.data = data\n    def _repr_png_(self): return self.data\n    \
                def __repr__(self): return 'an image'\n\
                class Drawing:\n    def _repr_svg_(self): return '<svg/>'\n    def __repr__(self): return 'a drawing'\n\
                display(Drawing())\nImage(b'\\x89PNG\\n\\x00\\xff')";
    let result = sandbox.execute(code).await.unwrap();
    assert_eq!(result.observation.value.as_deref(), Some("an image"));
    assert_eq!(result.observation.stdout, "a drawing\n");
    assert_eq!(types(&result), ["image/svg+xml", "image/png"]);
    assert_eq!(
        result.displays,
        [b"<svg/>".to_vec(), b"\x89PNG\n\x00\xff".to_vec()]
    );
    // Nothing of it is left for the next cell; an object that raises while it is shown is no protocol error.
    let code = "class Broken:\n    def _repr_png_(self): raise ValueError('no')\n    def __repr__(self): return 'broken'\nBroken()";
    let result = sandbox.execute(code).await.unwrap();
    assert_eq!(result.observation.value.as_deref(), Some("broken"));
    assert_eq!(types(&result), [""; 0]);
    sandbox.close().await;
}

pub async fn displayed_text_is_printed_in_its_place(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    let code = "import pandas as pd\nfrom IPython.display import HTML, Image, display\nprint('one')\ndisplay(pd.DataFrame({'a': [1]}))\nprint('two')\n\
                display(HTML('<b>x</b>'))\ndisplay(Image(data=b'GIF8', format='gif'))\ndisplay({'image/webp': 'UklGRg=='}, raw=True)\n\
                display({'application/x-unknown': 'x', 'text/plain': 'plain'}, raw=True)";
    let result = sandbox.execute(code).await.unwrap();
    assert_eq!(
        result.observation.stdout,
        "one\n   a\n0  1\ntwo\n<IPython.core.display.HTML object>\n<IPython.core.display.Image object>\nplain\n"
    );
    assert_eq!(types(&result), ["text/html", "image/gif", "image/webp"]);
    assert_eq!(
        result.displays,
        [b"<b>x</b>".to_vec(), b"GIF8".to_vec(), b"RIFF".to_vec()]
    );
    sandbox.close().await;
}

pub async fn too_many_displays_are_counted(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    let code = "for n in range(20): display({'image/png': bytes(n)}, raw=True)";
    let result = sandbox.execute(code).await.unwrap();
    assert_eq!(types(&result).len(), 16);
    assert!(
        result
            .observation
            .stderr
            .contains("[4 more not kept: a cell may have 16 displays"),
        "{:?}",
        result.observation
    );
    let code = "display({'image/png': bytes(3 << 20)}, raw=True)\ndisplay({'image/png': bytes(3 << 20)}, raw=True)";
    // More than once: a large reply comes in parts, whose lengths are a matter of luck.
    for _ in 0..4 {
        let result = sandbox.execute(code).await.unwrap();
        assert_eq!(types(&result).len(), 1, "{:?}", result.observation);
        assert!(
            result.observation.stderr.contains("[1 more not kept"),
            "{:?}",
            result.observation
        );
    }
    sandbox.close().await;
}

pub async fn a_figure_is_shown(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    let code = "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\n_ = ax.plot([1, 2])\nplt.show()\nprint('after')";
    let result = sandbox.execute(code).await.unwrap();
    assert_eq!(
        result.observation.outcome,
        CellOutcome::Ok,
        "{:?}",
        result.observation
    );
    assert_eq!(
        result.observation.stdout,
        "<Figure size 640x480 with 1 Axes>\nafter\n"
    );
    assert_eq!(result.observation.stderr, "");
    assert_eq!(types(&result), ["image/png"]);
    assert!(result.displays[0].starts_with(b"\x89PNG"));
    // One that is left open is shown at the end of its cell.
    let result = sandbox.execute("_ = plt.plot([1, 2])").await.unwrap();
    assert_eq!(types(&result), ["image/png"]);
    sandbox.close().await;
}

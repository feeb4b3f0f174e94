//! Two plain plots, in colours that people who confuse red and green can tell apart (Okabe and Ito, 2008).

use std::fmt::Write;

const COLOURS: [&str; 9] = [
    "#000000", "#0072B2", "#56B4E9", "#009E73", "#D55E00", "#CC79A7", "#999999", "#E69F00",
    "#8C510A",
];

fn begin(width: usize, height: usize) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    )
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, content: &str) {
    writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>")
        .unwrap();
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    writeln!(
        svg,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>"
    )
    .unwrap();
}

fn legend(svg: &mut String, names: &[&str], colours: &[&str], mut x: f64, y: f64) {
    for (name, colour) in names.iter().zip(colours) {
        writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{:.1}\" r=\"5\" fill=\"{colour}\"/>", y - 4.0)
            .unwrap();
        text(svg, x + 9.0, y, "start", name);
        x += 28.0 + 7.0 * name.len() as f64;
    }
}

/// A row of dots for each workload, on a logarithmic axis with 1 marked.
pub fn dots(title: &str, names: &[&str], rows: &[(&str, Vec<f64>)]) -> String {
    let (left, right, top, step) = (90.0, 860.0, 74.0, 22.0);
    let bottom = top + step * rows.len() as f64;
    let mut svg = begin(900, bottom as usize + 40);
    let all = || rows.iter().flat_map(|(_, values)| values.iter().copied());
    let (least, most) = (all().fold(0.5, f64::min), all().fold(2.0, f64::max));
    let x = |value: f64| left + (right - left) * (value / least).ln() / (most / least).ln();
    text(&mut svg, left, 22.0, "start", title);
    legend(&mut svg, names, &COLOURS[1..], left, 46.0);
    for tick in [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0] {
        if (least..=most).contains(&tick) {
            let colour = if tick == 1.0 { "black" } else { "#dddddd" };
            line(&mut svg, (x(tick), top - 12.0), (x(tick), bottom), colour);
            text(&mut svg, x(tick), bottom + 18.0, "middle", &tick.to_string());
        }
    }
    for (row, (workload, values)) in rows.iter().enumerate() {
        let y = top + step * row as f64 + 4.0;
        text(&mut svg, left - 8.0, y + 4.0, "end", workload);
        line(&mut svg, (left, y), (right, y), "#eeeeee");
        for (value, colour) in values.iter().zip(&COLOURS[1..]) {
            writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"{colour}\" fill-opacity=\"0.85\"/>",
                x(*value)
            )
            .unwrap();
        }
    }
    svg + "</svg>\n"
}

pub struct Panel<'a> {
    pub title: &'a str,
    pub x: &'a str,
    pub y: &'a str,
    pub lines: Vec<(&'a str, Vec<(f64, f64)>)>,
}

/// Panels side by side; x is logarithmic, y begins at zero.
pub fn lines(panels: &[Panel]) -> String {
    let (width, height, top, bottom) = (450.0, 380.0, 80.0, 330.0);
    let mut svg = begin((width * panels.len() as f64) as usize, height as usize);
    let names: Vec<&str> = panels[0].lines.iter().map(|(name, _)| *name).collect();
    legend(&mut svg, &names, &COLOURS, 60.0, 22.0);
    for (i, panel) in panels.iter().enumerate() {
        let (left, right) = (i as f64 * width + 60.0, (i + 1) as f64 * width - 20.0);
        let points = || panel.lines.iter().flat_map(|(_, points)| points.iter().copied());
        let (first, last) = (
            points().fold(f64::MAX, |m, p| m.min(p.0)),
            points().fold(0.0, |m: f64, p| m.max(p.0)),
        );
        let most = points().fold(0.0, |m: f64, p| m.max(p.1)) * 1.05;
        let x = |value: f64| {
            left + (right - left) * (value / first).ln() / (last / first).max(1.001).ln()
        };
        let y = |value: f64| bottom - (bottom - top) * value / most;
        text(&mut svg, left, 56.0, "start", &format!("{} ({})", panel.title, panel.y));
        text(&mut svg, (left + right) / 2.0, bottom + 38.0, "middle", panel.x);
        for quarter in 0..=4 {
            let value = most * f64::from(quarter) / 4.0;
            line(&mut svg, (left, y(value)), (right, y(value)), "#dddddd");
            text(&mut svg, left - 6.0, y(value) + 4.0, "end", &format!("{value:.2}"));
        }
        for (step, _) in &panel.lines[0].1 {
            text(&mut svg, x(*step), bottom + 18.0, "middle", &step.to_string());
        }
        for ((_, points), colour) in panel.lines.iter().zip(COLOURS) {
            let path: Vec<String> =
                points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
            writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                path.join(" ")
            )
            .unwrap();
        }
    }
    svg + "</svg>\n"
}

// What the report's charts use of Apache ECharts; README.md beside this file tells how it is built.
import { use, init } from 'echarts/core';
import { ScatterChart, BarChart, LineChart, HeatmapChart, CustomChart } from 'echarts/charts';
import { GridComponent, TooltipComponent, VisualMapContinuousComponent, MarkLineComponent } from 'echarts/components';
import { SVGRenderer } from 'echarts/renderers';
import { LabelLayout } from 'echarts/features';

use([
  ScatterChart, BarChart, LineChart, HeatmapChart, CustomChart,
  GridComponent, TooltipComponent, VisualMapContinuousComponent, MarkLineComponent,
  SVGRenderer, LabelLayout,
]);
export { init };

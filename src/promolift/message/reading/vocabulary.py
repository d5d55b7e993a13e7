"""The words a message may be made of, beside the facts of its offer: a list of what is allowed, not of what is not.

`PLAIN` words promise nothing and may stand anywhere. `ACT` words (order, use, coupon) need a fact in their sentence or
a reader who is spoken to; `OFFER` words (price, less) need a fact; `SHIPPING` words an offer of free shipping. `THINGS`
may not follow a benefit, where '30% off, a mug and a towel' would promise them. Other people, opinions, stocks, prizes,
effects, ranks and comparisons have no word here. English words stand for their forms too.
"""

PLAIN_EN = """
    a an the this that these those it its you your yours yourself we our ours us they them their is are am be been
    being was were has have had having do does did can could will would may might should must need want like wish and
    or but so if when whenever while as then to of in on at for with from by into onto up out about around through
    thru until til before after during between within here there now today just too very again still let what which
    why who where how something anything everything yes no not please all any every each own same other's one both
    some get take bring make keep put set go come see look find try stop continue hold miss help mean list note
    reminder remind remember forget news notice message ready open awaits await waiting happy hello hi hey dear sir
    madam mr mrs ms welcome thank thanks cheer greeting regards enjoy deserve treat favour favor idea chance reason
    plan love hope mind matter word way place side part great nice lovely easy simple simply little small big right
    whole entire whatever however else mon tue tues wed thu thur thurs fri sat sun monday tuesday wednesday thursday
    friday saturday sunday day date week month year tomorrow soon time hour midnight noon evening eve clock o'clock
    a.m p.m pm et est edt pt pst pdt ct mt local beijing york shanghai standard morning afternoon night weekend
    weeknight holiday spring summer autumn fall winter season home house kitchen table room garden desk breakfast
    lunch dinner supper brunch snack meal slow quiet cozy cosy warm cool fresh sweet soft bright light gentle smile
    joy comfort moment life heart christmas easter halloween thanksgiving independence back off per via that's enough
    together perhaps maybe ok okay let's don't taken took got went came made brought held kept ran began begun chosen
    given gave said recently recent latest reply opt unsubscribe called already sip pour brew steep stir bake cook
    grill roast fry boil steam simmer chop slice spread melt mix blend whisk bite taste chew crunch dip drizzle scoop
    eat drink feed fill refill pack wrap slip pull wear step walk jog hike ride swim stretch sit lie nap dream read
    write draw paint play sing dance watch listen glow shine sparkle wash rinse scrub wipe sweep dust fold hang iron
    tidy clean clear lay gather host celebrate wake rise settle curl snuggle cuddle hug lean pause breathe unwind
    relax rest feel turn head travel imagine think carry serve cosy-up knit sew plant grow bloom pop whistle hum flick
    switch dim stack pile sort fix build craft bring-home drive drop curry green pantry floor window balcony porch
    yard leaf sunshine moon star sky rain snow wind breeze cloud fire fireplace weather beach sea lake river park path
    road trail hill mountain page story music song school feet foot toe hand finger corner candlelight teatime
    fireworks puddle crumb barbecue bbq campfire shore sand wave bath shower bubble laundry bunny bunnies dish golden
    crisp crunchy creamy juicy spicy salty tangy smooth fluffy silky toasty chilly frosty rainy sunny snowy cold hot
    windy grey gray busy lazy sleepy hungry thirsty early late long short calm peaceful dry cheerful merry ripe bare
    glamorous handy fried grilled baked steamed scrambled melted low-key outside inside outdoors indoors upstairs
    beside under beware family friend guest pet dog cat paw either many much well hear rejoice ordinary flame cook's
    call playtime study better easier break pair nicely complete lace cleaner machine smart block straight minute
    problem upgrade companion low frozen skim compliments accept pocket-sized fly ahead tonight since dishes
    combinable check type new-look won't can't skip exp down halfway traffic card budget holder enjoyable delightful
    delight delicious tasty yummy pleasant charming elegant stylish classic modern plain neat snug airy breezy mild
    hearty homemade home-made homely everyday daily weekly-shop routine ritual habit adventure explore discover wander
    stroll climb camp paddle sail commute errand chore clean-up tidy-up refresh recharge revive restart reset reward
    pamper spoil indulge savour savor gift-list kick-off kickoff wrap-up bright-side brighten celebration festive
    festival feast banquet picnic gathering party toast sunrise sunset dawn dusk daybreak twilight midday nighttime
    bedtime lunchtime dinnertime weekday mid-week midweek monsoon shade shadow frost chill heat heatwave raindrop
    snowflake rainbow field forest meadow woods valley island coast harbor street lane sidewalk terrace patio backyard
    attic basement hallway doorstep bathroom bedroom living studio workshop garage driveway colour color colourful
    colorful tone rhythm tune melody beat laugh laughter giggle grin chat talk whisper hunger thirst appetite craving
    crave mood feeling ease peace hush stillness slowly gently softly warmly quietly happily neatly go-to ready-made
    fuss mess hassle trouble worry style outfit wardrobe closet dresser layer bundle spare fresh-start freshen spruce
    decorate decoration countertop tabletop fireside bedside poolside seaside lakeside riverside roadside mine few
    several couple half-time lot bunch handful pinch dash splash sprinkle sizzle crackle lift press push tap roll rock
    swing spin glide cruise zoom float dive skate ski surf row fish stitch sketch learn teach practise practice focus
    solve finish-line goal start-line fresh-air air water-side breath pace reach step-by-step passport luggage
    suitcase journey vacation getaway staycation road-trip nibble munch gulp slurp zesty fruity nutty buttery peachy
    minty citrusy savoury savory sugary rich mellow velvety sparkling shiny glossy sleek unfold roll-up pack-up
    appreciate appreciation gratitude grateful glad pleased thrilled excited excitement while-away along across toward
    towards behind beneath among kindly truly really actually finally sure surely yep yeah hmm oh ah wow hooray yay
    voila year-end mid-year midyear season's year's portfolio closed leave number say once chase spark light-up deep
    exhale inhale stay tear lately jump hop gear ready-to-go assortment throughout whole-store flat instant instantly
    concludes conclude kick whilst amid besides hence thus therefore meanwhile otherwise instead regardless whichever
    wherever rather quite yet ago hour's today's weekend's special mark calendar psst guess alert inbox purse phone
    screen schedule flow hold-on basket-full fill-up top-up stop-by pop-in drop-in swing-by in-person statement
    confirm confirmation receipt claimable purchaseable quick abroad equal equally give next town city door good start
    begin sitewide storewide work end thing name store use sincerely valued behalf fyi update announcement announce
    announcing present presenting merrier edge stew overseas traveling roaming almost nearly-there hooked sorted
    fresh-faced ready-to-use hello-again back-in happen happening everywhere product item effective effectively
    immediate cinema theater theatre museum library market-day concert show stage seat crew class classroom teacher-x
    lesson homework project hobby hobbies board ball-game chess choir coastline creek stream pond waterfall cliff cave
    desert jungle island-life countryside orchard bus train plane flight station airport taxi bike-ride drive-in
    highway bridge tunnel ferry monday's friday's afternoon's evening's tonight's tomorrow's morning's summer's
    away become shut belong
    winter's spring's autumn's golden-hour bluebird robin butterfly dinner-table candlelit firelight lamplight
    starlight moonlight daylight tie soupy brothy saucy cheesy beefy meaty leafy grassy flowery floral citrus smoky
    charred roasted toasted stewed braised poached raw plump starter main-course side-dish appetizer entree leftover
    portion serving sparkly twinkle twinkling shimmering glowing blooming budding quietness loudly lazily merrily
    eagerly thirst-quenching mouthwatering finger-licking heart-warming bring-along carry-on day-trip weekend-long
    all-day all-night all-weekend counting kick-back lean-back sit-back lie-down curl-up plan-ahead think-ahead
    go-ahead heading spoonful cupful mouthful plateful bowlful indeed anyway of-course double-check-x tick note-down
    jot circle highlight pin bookmark welcome-back see-you bye goodbye farewell cheers ciao colder warmer cooler
    lighter brighter softer over other full shelf shelves beautiful beautifully fun goodies touch alive comfortable
    clothes spot aroma casual wonderful warmth activity smell soothe space inviting freshness provide sight magical
    elevate clever cleverly satisfying
"""
ACT_EN = """
    order shop apply redeem enter quote add pick choose select grab claim cover buy purchase bought checkout check-out
    code coupon voucher offer deal promotion promo sale savings basket cart bag trolley till register account wallet
    store-wide site-wide shopwide online goods merchandise grocery stuff range selection collection catalogue catalog
    aisle department run last close closes closing finish expire lapse valid active live available applicable count
    qualify include discount automatically activate activated activation redeeming redemption website web visit wait
    load score snag nab land bank trade trading invest investment fund loan policy borrow insure renew renewal
    transfer commission brokerage void market gone sent
"""
OFFER_EN = """
    shed hit ceiling stopping
    save saving pay payment price pricing cost charge fee free freely complimentary gratis waive half percent cent pct
    fiver tenner third quarter fifth eighth tenth twentieth twelfth sixth hundred thousand dozen reduce reduction
    lower cut slash knock markdown deduct deduction subtract minus cheaper rebate regular usual usually normal
    normally original originally retail sticker tag minimum min maximum max most least limit ceiling exceed hit total
    spend spent threshold above below beyond more plus exactly exact single automatic without none nothing zero nil
    required require requirement necessary than only even smaller amount sum value worth figure inclusive including
    exclusive validity expiry expiration deadline period final limited time-limited beginning bill subtotal trim shave
    saver redeemable usable useable eligible qualifying full-price undiscounted percentage point isn't aren't doesn't
    didn't cannot wouldn't couldn't needn't we're they're you're per-order per-purchase expired receive top tops sell
    sold lowered lowest-possible longer benefit pocket included exclusion free-of-charge unlock earn such post
    regular-priced dearer less never discounted strings string attached box condition conditions term terms subject
    applies scope fraction whole-shop disappear vanish melt-away shrink tumble come-down trimmed shaved remain
    remaining left tab tally rrp msrp net cutoff cut-off sliced whittle flat-rate rounded round outright straightaway
    upfront calculated calculate apply-able chargeable payable due owed owe remainder money sends cap
"""
SHIPPING_EN = """
    courier postman parcel
    postage shipping delivery deliver ship send mail
"""
THINGS_EN = """
    bowl cup mug glass plate pot pan jar spoon fork knife piece loaf cake pie cookie bread butter jam honey milk cream
    cheese egg rice noodle soup salad sauce pasta pizza sandwich burger fruit apple berry banana orange lemon grape
    peach vegetable veggie potato tomato onion carrot corn bean nut almond walnut cashew meat chicken beef chocolate
    ice water juice wine beer coffee tea oven stove fridge freezer cupboard drawer sink sofa couch chair bed pillow
    blanket sheet towel rug curtain lamp candle mirror flower tree movie film book game ball bike pencil pen pad clip
    paper notebook jacket coat sweater scarf hat glove sock shoe boot trip tent boat soap shampoo mop broom tray
    napkin pancake waffle cereal yogurt smoothie popcorn cocoa sugar salt pepper spice herb garlic oil vinegar kettle
    pudding dough flour popsicle carton bottle toy puzzle card-game guitar piano drum violin sneaker slipper sandal
    jeans shirt skirt dress hoodie pajamas pyjamas robe apron mitten gloves tablecloth dessert ticket
    latte cappuccino espresso americano mocha macchiato muffin croissant scone bagel brownie donut tart biscuit
    lemonade
"""
GREETED_EN = """
    customer friend shopper member guest reader neighbour neighbor food-lover cardholder cardmember passenger
    traveller traveler subscriber
"""
PLAIN_ZH = """
    好比 算账 收尾 收官 积少成多 聊胜于无
    的 地 得 了 着 过 在 是 和 与 及 或 到 至 从 由 自 为 于 起 止 请 您 你 我们 这 那 此 本 该 其 就 都 均 也 还 又
    吧 呢 哦 啊 呀 啦 吗 嘛 哈 嗨 喔 哟 来 去 给 把 让 将 有 没有 无 不用 不必 不需 无需 无须 需 需要 可 可以 能 会 要
    想 上 下 里 中 内 前 后 时 时候 日 号 天 月 年 周 点 当日 当天 当晚 一 两 个 张 份 件 单 享 享受 尊享 立享 可享
    同享 乐享 畅享 您的 你的 时间 日期 期间 为止 最后 最晚 最迟 即日 即日起 即可 即 便 便可 方可 才 才可 现在 如今 今
    今起 马上 立即 立刻 直接 自动 一律 统一 统统 通通 全都 不限 品类 范围 任意 任何 每 各 各位 亲 亲爱 尊敬 尊敬的
    敬爱的 先生 女士 小姐 您好 你好 好 早上好 下午好 晚上好 大家好 早安 晚安 欢迎 感谢 谢谢 祝 祝您 愉快 快乐 温馨
    提示 提醒 注意 请注意 通知 消息 好消息 福利 心意 专属 支持 光临 惠顾 期待 等 等您 等你 送给 送上 献上 奉上 赠您
    送您 已 已经 正 正在 进行 持续 继续 保持 开始 开启 上线 来了 来啦 为您 为你 帮您 帮你 替您 替你 给您 给你 让您
    我们请您 尝尝 试试 看看 挑 挑选 挑个 选 选择 随心 随意 轻松 方便 省心 简单 小 大 好物 好价 好事 小小 一点 一份
    一张 一件 一次 一个 一下 一起 一些 一切 哪些 什么 怎么 多少 几 点什么 添 添置 添点 补 备 备好 备点 囤 囤点 凑单 凑
    逛 逛逛 逛一逛 带 带走 带回家 入手 拿下 收下 收好 安排 搭配 配 配上 搭档 家 家里 家中 回家 在家 门口 生活 日子
    日常 每天 今天 今日 今晚 明天 周末 假期 长假 节日 春天 夏天 秋天 冬天 春日 夏日 秋日 冬日 夏 秋 冬 春 早晨 清晨
    早上 上午 中午 午后 下午 傍晚 晚上 夜晚 夜里 凌晨 深夜 零点 午夜 正午 早餐 午餐 晚餐 早饭 午饭 晚饭 夜宵 下午茶
    三餐 一日三餐 餐桌 厨房 客厅 卧室 书房 阳台 书桌 时光 时刻 片刻 心情 喜欢 喜爱 爱 想要 清单 记得 别忘了 别忘 不妨
    何不 值得 快来 来吧 来份 来杯 来点 来个 来件 一杯 一壶 一碗 一勺 一口 一盘 一瓶 端午 中秋 国庆 国庆节 春节 元旦
    新年 圣诞 圣诞节 双11 双十一 618 父亲节 母亲节 情人节 元宵 七夕 重阳 清明 劳动节 五一 六一 跨年 年底 年末 年中
    月底 月末 开学 开学季 入秋 入冬 入夏 换季 星期 礼拜 周一 周二 周三 周四 周五 周六 周日 周天 星期日 星期天 北京时间
    北京 本地 当地 小时 分 分钟 秒 不止 关于 说明 规则 内容 详情 须知 如下 具体 其中 如 如需 若 如果 只要 只需 仅需
    无论 不论 不管 无门槛 门槛 限制 数量 次数 金额 时段 渠道 线上 线下 都行 都算 算 算数 自己 家人 一家人 全家 朋友
    客人 大人 舒服 舒适 温暖 暖 暖暖 暖和 热 热热 冷 凉 凉爽 清凉 新鲜 香 香香 甜 甜甜 软 软软 柔软 轻 安静 慢慢 好好
    悠闲 惬意 美好 幸福 开心 放松 休息 歇歇 歇一歇 自在 从容 热闹 团圆 团聚 早 晚 忙 忙碌 累 下班 出门 上班 到店 自提
    外卖 外送 现享 直到 优惠期 服务 仍 仍可 它 东西 立打 通享 皆享 皆 短信 最近 刚刚 刚 上次 之前 专场 专用 留 留了 趁
    降价 拒收 回复 回 常用 收官 收尾 回馈 要求 为准 用餐 一直 凭短信 合适 更合适 更轻松 更方便 更顺手 更好 一笔 大家
    啥 整个 八月 为您留 为你留 还好 为何 特意 特地 准备 邀请您 邀您 敬请 恭候 来信 订 先 再 即将 签到? 客官 给自己
    顺便 加 喝 吃 泡 煮 炒 煎 炖 煲 蒸 烤 炸 烧 拌 切 切片 抹 夹 倒 咬 嚼 尝 品 闻 看 听 读 写 画 唱 跳 跑 坐 躺 睡 醒
    起床 洗 刷 擦 扫 拖 晾 晒 收 收拾 整理 穿 戴 披 盖 铺 摆 放 打开 拉上 点亮 关上 装 端 递 捧 握 抱 靠 窝 聊 聊天 笑
    玩 陪 开 关 换条 添件 加点 加件 做饭 做菜 下厨 开火 洗澡 洗锅 洗碗 出汗 犯困 追剧 看书 看电影 听歌 散步 爬山 露营
    野餐 旅行 聚餐 聚会 喂 养 种 浇 水 冰 汤 粥 饭 菜 一道菜 清蒸 白灼 温水 热水 冷水 开水 冰块 米缸 水槽 灯光 烛光 窗
    窗外 窗边 门 桌 桌上 床上 被窝 地板 书架 格 脚 左脚 右脚 双脚 光脚 脚下 手 双手 手里 指尖 心 心里 胃口 一身 太阳
    阳光 月亮 月光 星星 天空 风 微风 雨 雨天 雪 下雪 云 海 海边 沙滩 河 湖 山 山路 路 路上 公园 树 叶 草 草地 院子
    花园 香味 香气 味道 滋味 口感 气息 声音 音乐 歌 故事 天气 天热 天冷 天凉 小暑 大暑 立秋 炎炎 金黄 酥脆 松软 绵软
    嫩 脆 清爽 清香 浓郁 醇厚 热乎 热乎乎 热气 腾腾 冰镇 冰凉 干净 整齐 明亮 柔和 亮 红 绿 绿色 白 蓝 黄 猫 狗 毛孩子
    毛怪 口粮 孩子 小朋友 小孩 掉毛 帮手 伺候 讲究 刚出炉 出炉 一颗 一片 一块 一把 一锅 一盏 一束 一朵 一家 一天 一夜
    一页 一路 一角 两三 满满 圆圆 亮亮 静静 夜 晨 午 雾 露 太 很 多 少 正好 刚好 像 似 一样 围坐 相伴 陪伴 度过 迎接
    告别 享用 品尝 分享 点缀 装点 点燃 唤醒 打扫 清洁 打理 打包 出发 归来 到来 来临 离不开 少不了 缺 空了 满 解决 问题
    不想 懒得 交给 假 放个假 放假 干活 活 家务 小事 大事 事 一人食 毛 熟 好吃 好喝 好看 好用 好闻 好听 都好 可口 美味
    开胃 解渴 解暑 消暑 驱寒 一刻 暖手 学校 贴士 飘香 新米 抓 踩 木头 角落 身体好 一筐 筐 首推 宅家 颗 夸张 洗完
    洗完澡 怪 再添 几本 几份 匆忙 别让 别 冰一下 短 不短 更好喝 更香 太多 都很甜 很甜 该备 备啦 几分钟 喝上 喝到 不会
    要不要 不晚于 不早于 做 备齐 同样 同样的 看过来 爱书人 随您 活动期 泡杯 搭 换条新 新的 不收 不花 不花钱 杯 壶 送达
    那么 这么 新买 更省心 省事 省力 省时 顺心 舒心 贴心 暖心 开怀 办理 申请 条件 不分 不挑 分类 骑 骑行 骑车 骑回 带回
    搬 搬回 抱回 提 犒劳 犒赏 宠 宠爱 宠一下 奖励自己 慰劳 奔波 加班 熬夜 通勤 出行 出游 郊游 远足 徒步 钓鱼 游泳
    健身房 瑜伽 打球 练 练习 学 学习 工作 上课 放学 午休 打盹 发呆 看海 看山 看云 听雨 赏花 赏月 赏雪 踏青 登高 吹吹风
    吹风 晒太阳 晒晒 走走 转转 坐坐 聊聊 歇会儿 歇 歇息 喘口气 透透气 散散心 伸个懒腰 泡脚 泡澡 沐浴 梳洗 打扮 换装
    换上 添衣 加衣 保暖 取暖 御寒 纳凉 乘凉 避暑 空气 空气变干 干燥 潮湿 湿 干 暖阳 暖意 寒意 凉意 凉风 秋风 春风 夏夜
    冬夜 秋夜 春夜 秋意 春意 夜色 夜幕 暮色 晨光 晨雾 朝阳 夕阳 晚霞 彩虹 露水 霜 冰雪 雪花 雨声 蝉鸣 鸟鸣 虫鸣 星空
    月色 树荫 林间 田野 乡间 山间 溪边 河边 湖边 江边 街 街头 巷口 楼下 小院 屋里 屋外 房间 浴室 玄关 餐厅 灶台 灶
    炉边 桌边 床头 床边 窗前 门外 门前 车里 车上 后备箱 行李 行囊 背包 背上 旅途 远方 他乡 故乡 老家 城里 城市 一段
    一程 一回 一场 一阵 一会儿 一会 一半天 几天 几分 几个 几口 几杯 几样 几道 一日 一周 一年 一季 整天 整夜 整周 全天
    半天 当季 时令 应季 节气 立春 立夏 立冬 冬至 夏至 腊八 除夕 初一 小年 年货 年夜饭 年味 团圆饭 饭菜 饭香 菜香 家常
    家常菜 小菜 热菜 凉菜 主食 甜品 甜点 早点 宵夜 小吃 一锅汤 热汤 热饭 热饮 冷饮 白米饭 白粥 小米粥 米香 麦香 茶香
    花香 奶香 果香 书香 墨香 木香 清甜 香甜 甜美 鲜甜 鲜香 鲜美 香浓 香醇 醇香 爽口 爽脆 滑嫩 细腻 顺滑 丝滑 软糯 弹牙
    暖胃 暖身 饱 饱饱 解馋 嘴馋 馋 下饭 踏实 安稳 平静 宁静 静谧 温柔 亲切 甜蜜 浪漫 欢乐 欢喜 欢笑 笑声 笑容 微笑
    高兴 喜悦 元气 活力 清醒 精神 心动 心愿 愿望 梦 梦想 好梦 仪式感 小确幸 烟火气 松弛 松弛感 自由 自如 闲 闲暇 闲时
    忙里偷闲 偷闲 不慌不忙 慢 慢下来 慢一点 慢生活 静下来 放空 展开 折起来 合上 卷起 叠好 挂上 挂 贴 贴上 系上 戴上
    穿上 套上 拎 拎上 背 推开 拉开 按下 拧开 倒上 倒一杯 泡一杯 冲一杯 来一口 来一碗 来一份 配一杯 加一勺 撒 撒上 淋
    淋上 蘸 拌一拌 煮一煮 涮 烫 焖 煨 腌 揉 揉面 擀 包饺子 和面 发酵 炖汤 煲汤 熬 熬粥 说 说声 道 道声 想想 想一想 试
    试一试 尝一尝 尝鲜 闻一闻 看一看 瞧 瞧瞧 找 找个 约 约上 约个 叫上 喊上 带上 捎上 备上 摆上 端上 送给自己 留给
    留给自己 写给 色 颜色 色彩 红红火火 蓝天 白云 青山 绿水 碧绿 粉色 紫 橙 黑 灰 棕 米色 条纹 格子 好日子 好心情
    好时光 好时节 好胃口 好味 好天气 小日子 小时光 小美好 小幸福 小心思 小目标 小物 小件 大件 大餐 一顿 顿饭 三五 好友
    知己 邻里 孩子们 老友 同伴 伴 伴您 伴你 相聚 相约 相见 重逢 陪您 陪你 陪着 守着 等着 盼 盼着 迎 迎来 迎春 迎新 庆
    庆祝 贺 开饭 开吃 开跑 开车 开学啦 开工 收工 启程 上路 到站 抵达 往返 来回 起步 出门前 回家后 睡前 饭前 饭后 餐前
    餐后 雨后 午间 工作日 平日 平常日子 周中 周五晚 帮 帮忙 省 够用 适合 正适合 刚刚好 恰好 恰到好处 合意 合口 称心
    随手 随行 随身 顺手 就手 手边 身边 眼前 脚步 步伐 节奏 步履 一步 每步 每一步 每一天 每一刻 每一餐 每一口 每个 每晚
    每早 每次 每杯 每餐 咯 呗 哇 嘿 哎 欸 呦 嘞 咧 滴 哒 么 呐 方案 项目 业务 手续 流程 步骤 方式 办法 途径 页面 首页
    菜单 目录 附 注 备注 注： 深呼吸 呼吸 拍 拍照 拍点 好看的 小聚 聚 聚聚 欢聚 开一瓶 皮肤 喝点水 对自己好一点
    对自己好点 现 不用付 不付 不设 设 设有 无限制 无要求 满足 符合 达成 踩水 水坑 坑 撕 冲 一撕 一冲 开卡 用卡 持卡
    时限 时效 终止 停止 关闭 落幕 收摊 打烊 过后 超时 届满 起始 使用期 使用日期 有效日期 有效时间 有效日 生效日期 当周
    当月 内有效 通知您 告知 提醒您 请您 诚邀 特邀 特为 特别为您 专为 专为您 款 该款 这款 本款 此款 这份 那份 这张 那张
    这次 本次 此次 本期 本场 本档 活动期间 活动期内 期内 年内 月内 届 全程 期 场 档 类 再来 再去 还能 还可 还可以 也能
    也可 都能 都可 均可 均能 均有效 同样有效 不变 依旧 依然 仍然 始终 并 而 但 且 则 因 虽 令 使 被 经 应 须 勿 莫 愿
    望 值此 恰逢 适逢 之际 逢 诸 所 所购 所选 折扣季 优惠季 购物节 购物季 狂欢 盛典 速览 看点 划重点 敲黑板 叮 叮咚 嘀
    咚 来电 召唤 集合 集结 出击 安排上 冲冲冲 走起 搞起 动起来 速记 备忘 标记 日历 记下 留意 关注一下 了解 知道 查看
    请查看 请查收 查收 请笑纳 笑纳 请收下 请知悉 知悉 周知 特此 敬告 谨 谨此 致 此致 敬礼 顺颂 祝好 商祺 安康 顺遂
    随附 附上 如您 如有 若有 若您 当您 在您 凭您 您只需 您可 您能 您将 您会 您就 由您 归您 为您准备 为您准备了 已备好
    已就位 已上线 已生效 已开启 已开始 在线 购物篮 篮子 提交 确认 核对 勾选 哪天 哪 哪里 捎个信 信 更省 填 立马 皮
    系统自动 全场 全店 适用范围 用 退订 结束 铲屎官 全线 适用 焕新 出国 出境 国外 海外 旅游 慢火 小火 大火 火候 新老
    一如既往 感恩 答谢 诚意 诚意满满 满满诚意 心动不如行动 行动 值得拥有 拥有 下次 再见 回见 不见不散 常来 多来
    常来坐坐 夜读 亮一点 亮一些 暖一点 快一点 早一点 多一点 少一点 好一点 美一点 甜一点 香一点 软一点 轻一点 原来
    一直以来 以来 长期 支持与 信任 厚爱 关爱 关心 问候 祝福 生活愉快 万事如意 工作顺利 天天开心 好运 吉祥 如意 平安
    顺利 就行 就好 好了 就好了 成 就成 行动起来 快去 去看看 去逛逛 快看 快看看 看一眼 瞅瞅 赏 卡包 钱包 券包 卡券 我的
    个人 中心 变成 变身 化身 成为 当成 电影院 影院 剧院 商场 超市 菜场 菜市场 集市 教室 办公室 图书馆 博物馆 体育场
    球场 操场 车站 机场 地铁 公交 高铁 火车 飞机 轮船 码头 酒店 民宿 营地 加餐 加个餐 加个菜 开小灶 垫垫肚子 垫一垫
    填饱 肚子 肚子饿 饿 饿了 渴 渴了 困 困了 累了 乏了 闷 闷热 炎热 酷热 酷暑 盛夏 初夏 仲夏 晚夏 初秋 深秋 金秋 初冬
    寒冬 隆冬 初春 早春 暮春 阳春 雨季 梅雨 三伏 三九 太阳大 这么大 那么大 大太阳 烈日 骄阳 晴天 阴天 多云 刮风 起风
    降温 升温 回暖 转凉 变冷 变热 冷了 热了 凉了 暖了 随便 随便买 随便选 随便挑 放心选 尽情 尽管 只管 不凑单 不用凑
    不用等 不用想 不用算 不必等 不必凑 不怕 不慌 不急 不忙 不晚 不早 不多 不远 不近 不冷 不热 不累 不吵 不闹 不如 不只
    不仅 不但 不再 不同 不少 补给 补给站 加油站 加油 打气 鼓励 宠自己 爱自己 照顾自己 对自己 好一些 多爱 善待 充电
    放电 回血 满血 复活 打卡 集齐 凑齐 备足 备全 配齐 买齐 收齐 装满 填满 塞满 堆满 摆满 铺满 洒满 写满 大扫除 扫除
    清扫 除尘 除湿 擦窗 擦地 拖地 扫地 洗衣 晾衣 熨 熨烫 缝 缝补 织 编 剪 裁 修剪 浇花 种花 种菜 养花 养鱼 养猫 养狗
    遛狗 遛弯 撸猫 喂猫 喂鱼 切菜 洗菜 择菜 炒菜 煎蛋 煎鱼 蒸鱼 烤肉 烤鱼 烧烤 炖肉 红烧 红烧肉 凉拌 糖醋 清炒 爆炒
    水煮 白切 油焖 卤 酱香 葱香 蒜香 麻辣 香辣 酸甜 酸辣 微甜 微辣 咸香 咸鲜 清淡 开锅 起锅 下锅 出锅 关火 小火慢炖
    慢炖 收汁 摆盘 装盘 开动 干杯 碰杯 举杯 小酌 浅酌 品茶 喝茶 喝汤 喝粥 喝水 吃饭 吃面 吃肉 吃鱼 吃瓜 吃饱 吃好 喝好
    吃好喝好 玩好 穿搭 搭一搭 衣橱 衣柜 鞋柜 鞋履 领口 袖口 口袋 纽扣 羽绒 羊毛 羊绒 棉麻 丝绸 亚麻 针织 读书 看剧
    看球 看展 看戏 看花 看雪 看日出 看日落 日出 日落 听书 听戏 听风 听海 写字 画画 唱歌 跳舞 弹琴 下棋 打牌 玩牌 玩球
    踢球 滑雪 滑冰 冲浪 划船 爬楼 跑步 晨跑 夜跑 散散步 走路 赶路 骑单车 骑马 露营地 搭帐篷 生火 围炉 围炉煮茶 煮茶
    赏景 看景 风景 美景 景色 景致 写作业 作业 课本 笔记 考试 复习 预习 毕业 毕业季 入学 寒假 暑假 寒暑假 春假 秋假
    小长假 黄金周 双休 双休日 工休 调休 请假 值班 夜班 早班 早起 晚起 赖床 熬夜党 上班族 打工人 吃货 吃货们 爱猫人
    书虫 书迷 球迷 影迷 茶友 驴友 花友 跑友 老饕 桌面 钟 暖气 客气 不客气 别客气 别急 别慌 别怕 别等 慢用 请慢用 请用
    请享用 请便 请进 请坐 请看 请选 请挑 请安心 请注意查收 请记得 请勿 请按 请至 请到 请前往 请尽早 给力 带劲 过瘾
    痛快 爽 爽快 畅快 利落 麻利 省时省力 省钱省心 省心省力 轻轻松松 舒舒服服 热热闹闹 开开心心 快快乐乐 平平安安
    团团圆圆 高高兴兴 慢慢悠悠 暖暖和和 干干净净 整整齐齐 漂漂亮亮 清清爽爽 甜甜蜜蜜 香香甜甜 必看 来袭 更划算 久坐
    归我们 忙完 完 做客 平平常常 平常 美食 爽滑 滑 层 一层 几层 涂抹 涂 愉悦 玩得开心 节 节日里 生活里 生活中 他们
    我们的 更加 整洁 摆摊 变得 冲冲澡 冲澡 身心 盖住 饮品 亲密 好友们 情侣 带来 用法 打开柜子 柜子 食物 在手边
    美味可口 滑溜 家庭 庭院 然后 自然 食用 制作 精心 融化 箱子 相互 用着 用得 做得 吃得 喝得 穿得 看得 睡得 过得 聊得
    玩得 更加温馨 难忘 碗 盘
    见面 度假 出差 拿 拿出 取出 一边 边 遍 一遍 一餐
"""
ACT_ZH = """
    下单 购买 购物 选购 采购 购 买 结算 结账 收银 使用 输入 填写 出示 凭 全部 所有 整单 商品 产品 订单 活动 优惠
    优惠券 券 券码 码 优惠码 折扣码 口令 账户 购物车 购物袋 有效 有效期 截止 截至 到期 失效 过期 作废 逾期 期限 通用
    可用 能用 专享 收到 到账 放入 放进 存入 发放 领 领取 保留 开通 走 买走 买过 买到 买满 货 店 小店 店里 店内 本店
    我店 账单 单子 账 票 小票 柜台 收银台 结账处 订购 预订 缴 交 交费 缴费 缴纳 交纳 申购 交易 投资 理财 定投 存 取 续
    续保 保单 投保 买起来 用起来 网上 网店 大促 促销 特卖 嗨购 乐购 悦购 再买 恢复 补货 囤货 备货
"""
OFFER_ZH = """
    折 打折 折扣 减 立减 直减 满减 减免 减价 即减 现减 返减 降 直降 立降 立省 节省 省下 省钱 便宜 少付 少花 少收 抵
    抵扣 抵用 抵用券 代金券 现金券 折扣券 红包 扣 扣减 扣除 抹去 抹掉 让利 惠 特惠 实惠 凑满 凑够 买够 够 达 达到 超过
    高于 低于 不低于 不少于 不足 不到 未满 不满 多于 以上 以下 以内 及以上 或以上 单笔 每单 每笔 合计 总额 总价 总计
    总金额 实付 付 付款 支付 应付 付费 消费 花 花费 价 价格 价钱 原价 现价 正价 标价 售价 平时 往常 原本 钱 圆 圆整
    元整 半 一半 半价 对 百分之 百分点 分之 基础 封顶 上限 最高 最多 至多 最低 至少 限 限时 仅限 为限 额度 面额 力度
    幅度 额 减额 省去 免 免去 免掉 免除 全免 免费 包 承担 出 零 起送 收取 卖 出售 销售 供应 只卖 只收 仅 只 计算 计 按
    按照 照 以 当 相当于 等于 也就是 含 包含 含税 届时 之内 以前 以后 之后 次日 后天 二 三 四 五 六 七 八 九 十 百 千
    〇 起享 起打 起减 起用 就够 够了 参加 参与 参与者 者 凡 凡是 不超过 不高于 不多于 打 生效 核销 兑换 凭券 本券 此券
    此码 用券 领券 无券 计价 收费 总共 一共 共 差 剩 剩余 还有 只剩 倒数 最后一天 活动价 优惠价 到手价 折后价 券后价
    折后 券后 专享价 低 低价 年费 保费 续费 利率 手续费 一成 单品 单件 整 全 全额 额满 购买时 使用时 结算时 页 付款页
    之 面值 减掉 零时 恢复正常 下调 归零 当场 万 不享 两成 三成 四成 五成 成价 起付 低至? 结算价 付清 划算 立减券
    立减金 满减券 每年 全年 首付? 封顶线 差价? 照价 减半 减收 费 整笔 前提 低了 少了 降了 省了 收费标准 标准 费率 率
    付款时 结账时 便宜了 直接减 免收 免付 立免 现只需 仅收 只付 砍 砍半 砍掉 砍价 现打 现省 现付 少交 直省 再省 可省
    能省 共省 省掉 减去 去掉 掉 抹零 扣掉 打个 打上 不限额 满额 达标 定价 标签价 吊牌价 挂牌价 立减后 减后 付款即
    结账即 支付时 支付即 到手 实收 应收 合 合共 起算 折算 换算 折合 原 计收 低价格 再减掉 减价后 减完 减下来 折下来
    抵扣后 券减 券抵 单券 整券 归
"""
SHIPPING_ZH = """
    包邮 免邮 免运费 邮 运费 邮费 配送费 快递费 邮寄费 配送 送货 快递 寄 寄送 寄到 送货上门 上门 邮寄 免运 邮资 运送
    派送 送到 免邮费 到家 运 送 寄往 邮递
"""
THINGS_ZH = """
    咖啡 牛奶 豆浆 果汁 酒 红酒 啤酒 饮料 米 面包 吐司 蛋糕 饼干 糖 糖果 巧克力 蜂蜜 果酱 黄油 奶酪 鸡蛋 蛋 肉 鱼 虾
    鸡 牛肉 水果 苹果 香蕉 橙子 葡萄 番茄 土豆 洋葱 豆腐 核桃 腰果 杏仁 巴旦木 坚果 零嘴 零食 点心 沙拉 披萨 饺子 火锅
    盐 油 酱 调料 锅 碟 勺 筷子 刀 叉 杯子 瓶 炉 烤箱 冰箱 微波炉 灯 台灯 窗帘 沙发 椅子 桌子 床 枕头 被子 毯子 毛毯
    毛巾 地毯 镜子 书 本子 铅笔 橡皮 纸 笔 衣服 外套 毛衣 围巾 帽子 手套 袜子 鞋 裤子 裙子 电影 游戏 积木 拼图 球 单车
    画笔 玩具 茶 热茶 米饭 面 面条 蔬菜 青菜 包裹 面膜 裙摆 腰带 围裙 睡衣 睡袍 拖鞋 凉鞋 球鞋 跑鞋 雨鞋 雨伞 伞 雨衣
    风衣 大衣 棉衣 桌布 餐具 餐盘 汤碗 饭碗 茶杯 水杯 酒杯 马克杯 保温杯 茶壶 水壶 汤锅 炒锅 平底锅 砂锅 电饭锅 灯泡
    灯具 花瓶 花盆 盆栽 绿植 相框 画框 挂画 挂钟 钟表 抱枕 靠枕 床单 被套 枕套 凉席 蚊帐 风扇 空调 加湿器 加菜
    拿铁 美式 卡布奇诺 摩卡 浓缩咖啡 可颂 松饼 司康 麦芬 贝果 甜甜圈 蛋挞 泡芙 布朗尼
"""
GREETED_ZH = """
    顾客 客户 会员 用户 朋友们 朋友 伙伴 家人们 铲屎官 铲屎官们 持卡人 储户 旅客 车主 读者
"""
